"""How long a user waits before anything happens: `python -m benchmarks.startup`."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.measure import Candidate, Target, judge, medians, scratch, show, write_report

__all__ = ["main"]


def process(*command: str | Path) -> Candidate:
    """A candidate: the command run to its end, its output thrown away."""
    return Candidate(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main() -> int:
    """Time fresh processes; 1 when a target is missed."""
    with scratch(needed=1 << 20) as root:
        return judge(time_them(root))


def time_them(root: Path) -> list[Target]:
    """Among them the command on two stores of one small tensor each."""
    check = Path(sys.executable).with_name("padiff-check")
    stores = root / "base.zarr", root / "raw.zarr"
    for store, value in zip(stores, (1.0, 1.00001), strict=True):
        write_report(store, {"layer": np.full((4, 4), value, np.float32)})
    seconds = medians(
        {
            "python -c pass": process(sys.executable, "-c", "pass"),
            "import numpy": process(sys.executable, "-c", "import numpy"),
            "import padiff": process(sys.executable, "-c", "import padiff"),
            "padiff-check --help": process(check, "--help"),
            "padiff-check, two tiny stores": process(check, *stores),
        },
        rounds=15,
    )
    show("A fresh process, median of 15", seconds, "import numpy")
    return [
        Target("padiff-check --help", seconds["padiff-check --help"], 0.3, "s"),
        Target(
            "padiff-check, two tiny stores", seconds["padiff-check, two tiny stores"], 0.35, "s"
        ),
        Target("import padiff", seconds["import padiff"], 0.25, "s"),
    ]


if __name__ == "__main__":
    sys.exit(main())
