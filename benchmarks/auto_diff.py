"""What `auto_diff` costs beside the models' own work: `python -m benchmarks.auto_diff`."""

import contextlib
import cProfile
import io
import pstats
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import padiff
from benchmarks import gpt
from benchmarks.measure import Target, judge, scratch, show

__all__ = ["main"]

ROUNDS = 5
SETTINGS: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5, "compare_mode": "strict"}

# What `auto_diff` spends its time in, by file and function.
PARTS = {
    "assign weights": ("assign.py", "assign_weight"),
    "forward, recorded": ("side.py", "forward"),
    "backward, recorded": ("side.py", "backward"),
    "dump": ("side.py", "dump"),
    "compare": ("engine.py", "compare"),
}


def plain_step(model: Any, inputs: dict[str, Any]) -> None:
    """Forward and backward, as the user would."""
    model(**inputs).mean().backward()


def auto_diff(base: Any, raw: Any, inputs: Any) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as log:
        aligned = padiff.auto_diff(base, raw, inputs, **SETTINGS)
    assert aligned, log.getvalue()


def bytes_below(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def write_plainly(path: Path, size: int) -> None:
    """The same number of bytes, in files of a chunk each."""
    chunk = np.ones(4 << 20, np.float32)
    path.mkdir()
    for at in range(0, size, chunk.nbytes):
        np.save(path / f"{at}.npy", chunk[: (size - at) // 4 or 1])


def profile(base: Any, raw: Any, inputs: Any) -> dict[str, float]:
    """Seconds in each part of one call, with all that it calls."""
    profiler = cProfile.Profile()
    profiler.runcall(auto_diff, base, raw, inputs)
    found = dict.fromkeys(PARTS, 0.0)
    for (file, _, function), (_, _, _, seconds, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        for name, (of_file, of_function) in PARTS.items():
            if file.endswith(f"/{of_file}") and function == of_function and "padiff" in file:
                found[name] += seconds
    return found


def measure(root: Path) -> list[Target]:
    models = gpt.build("torch"), gpt.build("paddle")
    inputs = gpt.tokens("torch"), gpt.tokens("paddle")
    padiff.set_dump_root_path(root / "first")
    auto_diff(*models, inputs)  # which warms up
    size = bytes_below(root / "first")
    shutil.rmtree(root / "first")
    seconds: dict[str, list[float]] = {"torch's step": [], "paddle's step": [], "write": []}
    seconds["auto_diff"] = []
    for turn in range(ROUNDS):
        for name, model, given in zip(seconds, models, inputs, strict=False):
            start = time.perf_counter()
            plain_step(model, given)
            seconds[name].append(time.perf_counter() - start)
        start = time.perf_counter()
        write_plainly(root / f"plain{turn}", size)
        seconds["write"].append(time.perf_counter() - start)
        shutil.rmtree(root / f"plain{turn}")
        padiff.set_dump_root_path(root / f"dumps{turn}")
        start = time.perf_counter()
        auto_diff(*models, inputs)
        seconds["auto_diff"].append(time.perf_counter() - start)
        shutil.rmtree(root / f"dumps{turn}")
    median = {name: statistics.median(values) for name, values in seconds.items()}
    models_own = median["torch's step"] + median["paddle's step"]
    own = median["auto_diff"] - models_own
    show(f"120 million parameters, {size >> 20} MiB dumped", median, "auto_diff")
    padiff.set_dump_root_path(root / "profiled")
    parts = profile(*models, inputs)
    show("One more call, profiled", {**parts, "all": sum(parts.values())}, "all")
    bound = models_own + median["write"]
    return [Target("auto_diff's own cost", own / bound, 2.0, "x the models' steps and the writing")]


def main() -> int:
    """Run it; 1 when the target is missed."""
    with scratch(needed=9 << 30) as root:
        return judge(measure(root))


if __name__ == "__main__":
    sys.exit(main())
