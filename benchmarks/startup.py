"""How long a user waits before anything happens: `python -m benchmarks.startup`."""

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Candidate, Target, judge, medians, show

__all__ = ["main"]


def process(*command: str | Path) -> Candidate:
    """A candidate: the command run to its end, its output thrown away."""
    return Candidate(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main() -> int:
    """Time fresh processes; 1 when a target is missed."""
    seconds = medians(
        {
            "python -c pass": process(sys.executable, "-c", "pass"),
            "import numpy": process(sys.executable, "-c", "import numpy"),
            "import padiff": process(sys.executable, "-c", "import padiff"),
            "padiff-check --help": process(
                Path(sys.executable).with_name("padiff-check"), "--help"
            ),
        },
        rounds=15,
    )
    show("A fresh process, median of 15", seconds, "import numpy")
    return judge(
        [
            Target("padiff-check --help", seconds["padiff-check --help"], 0.3, "s"),
            Target("import padiff", seconds["import padiff"], 0.25, "s"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
