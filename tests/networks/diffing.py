"""Running a network and its twin through `auto_diff`, with a fault in the second or without."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import torch

import padiff
from padiff.render.words import stage
from tests.networks.catalogue import NETWORKS, OptimizerKind, optimizer
from tests.networks.planting import Fault, Setup
from tests.scratch import scratch

__all__ = ["Outcome", "outcome"]

ATOL = 1e-5


@dataclass(frozen=True)
class Outcome:
    """What `auto_diff` found, `stage` and `layer` (of raw) where it first did.

    `layers` counts the layers with a divergence in the report, `log` is what was logged.
    """

    aligned: bool
    stage: str
    layer: str
    layers: int
    log: str


def outcome(
    network: str,
    base: str,
    raw: str,
    fault: Fault | None = None,
    *,
    kind: OptimizerKind = "sgd",
    steps: int = 1,
    single_step: bool = False,
) -> Outcome:
    """Train both for some steps, raw with base's weights, and what is found at 1e-5, strict."""
    made, frameworks = NETWORKS[network], (base, raw)
    models = [made.build(framework) for framework in frameworks]
    sides = [
        Setup(model, made.inputs(name), made.loss(name), optimizer(name, kind, model))
        for name, model in zip(frameworks, models, strict=True)
    ]
    before, threads = padiff.get_dump_root_path(), torch.get_num_threads()
    torch.set_num_threads(1)  # of such small tensors, threads make slow work
    with (
        scratch() as root,
        contextlib.redirect_stdout(io.StringIO()) as log,
    ):
        padiff.set_dump_root_path(root)
        try:
            assert padiff.assign_weight(*models)
            if fault is not None:
                fault.plant(raw, sides[1])
            aligned = padiff.auto_diff(
                sides[0].model,
                sides[1].model,
                [side.inputs for side in sides],
                [side.loss for side in sides],
                [side.optimizer for side in sides],
                auto_init=False,
                atol=ATOL,
                rtol=0,
                compare_mode="strict",
                steps=steps,
                single_step=single_step,
            )
            homes = sorted(Path(root, "auto_diff").iterdir())
            found = padiff.compare(*homes, mode="strict", atol=ATOL, rtol=0)
        finally:
            padiff.set_dump_root_path(before)
            torch.set_num_threads(threads)
    assert found.aligned == aligned
    first = found.first_divergence
    return Outcome(
        aligned,
        "" if first is None else stage(first),
        "" if first is None else (first.raw.route or first.base.route or ""),
        len({r.raw.route for r in found.records if r.diverged and r.section == "report"}),
        log.getvalue(),
    )
