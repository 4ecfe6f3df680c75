"""`python -m demo`: train both sides, dump every step, and let padiff-check find the fault."""

import subprocess
import sys
from pathlib import Path

from demo import paddle_side, torch_side
from demo.digits import batches

__all__ = ["main"]

STEPS = 3


def check(base: str, raw: str) -> int:
    """Run padiff-check as a user would, show the command, and return its exit code."""
    print(f"\n$ padiff-check {base} {raw}", flush=True)
    command = Path(sys.executable).with_name("padiff-check")
    return subprocess.run([command, base, raw], check=False).returncode


def main() -> int:
    """Exit code 0 when padiff found the planted fault, and none where none is planted."""
    weights = torch_side.initial_weights()
    data = list(batches(STEPS))
    base, faulty, clean = (f"demo/{name}.zarr" for name in ("torch", "paddle_faulty", "paddle"))

    print(f"Training for {STEPS} steps on {len(data[0][1])} digits each; the losses:")
    losses = torch_side.train(torch_side.DigitNet(), weights, data, base)
    report("torch", base, losses)
    losses = paddle_side.train(paddle_side.DigitNet(faulty=True), weights, data, faulty)
    report("paddle, with a fault", faulty, losses)
    losses = paddle_side.train(paddle_side.DigitNet(), weights, data, clean)
    report("paddle", clean, losses)

    found = check(base, faulty)
    print("\nThe planted fault: AvgPool2D of paddle leaves the padding out unless told not to.")
    aligned = check(base, clean)
    return 0 if (found, aligned) == (1, 0) else 1


def report(side: str, location: str, losses: list[float]) -> None:
    """Print one line on a finished run."""
    figures = " ".join(f"{loss:.4f}" for loss in losses)
    print(f"  {side:<21} {figures}   -> {location}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
