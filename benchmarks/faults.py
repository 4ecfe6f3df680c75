"""Which planted faults `auto_diff` finds, and where: `python -m benchmarks.faults [NETWORK ...]`.

Every fault of the networks in `tests/networks`, planted in either framework's model with the
other's as the reference; and the same networks without a fault.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Sequence

from tests.networks import FAULTS, NETWORKS, Fault
from tests.networks.diffing import outcome

__all__ = ["main"]

DIRECTIONS = (("torch", "paddle"), ("paddle", "torch"))
ROW = "{:<36} {:<6} {:<16} {:<34} {:<5} {:>8} {:>12}"


def twins(networks: Sequence[str]) -> int:
    """How many runs of clean twins are not aligned: two optimizers, and single step."""
    wrong = 0
    for network in networks:
        for base, raw in DIRECTIONS:
            runs = [
                outcome(network, base, raw, kind="sgd", steps=5),
                outcome(network, base, raw, kind="adam", steps=5),
                outcome(network, base, raw, single_step=True),
            ]
            wrong += sum(not run.aligned for run in runs)
    return wrong


def row_of(fault: Fault, base: str, raw: str) -> tuple[list[str | int], bool]:
    """A line of the table, and whether the fault was named where it is."""
    plain = outcome(fault.network, base, raw, fault, kind=fault.kind, steps=fault.steps)
    single = outcome(
        fault.network, base, raw, fault, kind=fault.kind, steps=fault.steps, single_step=True
    )
    places = (fault.shown[raw], fault.layer[raw], "*")
    there = fault.shown[raw] == "*" or plain.layer in places
    named = not plain.aligned and plain.stage == fault.stage and there
    layer = plain.layer or ("the model itself" if plain.stage else "")
    return [
        fault.name,
        raw,
        plain.stage or "not found",
        layer,
        "yes" if named else "NO",
        plain.layers,
        single.layers if not single.aligned else "not found",
    ], named and not single.aligned


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 when a fault is not named where it is, or a clean twin is not aligned."""
    networks = [name for name in NETWORKS if not arguments or name in arguments]
    faults = [fault for fault in FAULTS.values() if fault.network in networks]
    print(ROW.format("fault", "in", "stage", "layer", "there", "layers", "single step"))
    missed = 0
    counts: Counter[object] = Counter()
    for fault in faults:
        for base, raw in DIRECTIONS:
            row, named = row_of(fault, base, raw)
            print(ROW.format(*row), flush=True)
            missed += not named
            counts[row[-1]] += 1
    wrong = twins(networks)
    print(f"\n{len(faults)} faults, each in both frameworks: {missed} of {2 * len(faults)} missed")
    print(f"clean twins, each in 6 runs: {wrong} of {6 * len(networks)} not aligned")
    shares = ", ".join(f"{count} x {layers}" for layers, count in counts.most_common())
    print(f"layers of the report that differ in single step: {shares}")
    return 1 if missed or wrong else 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
