"""`auto_diff`: two models run side by side, recorded, dumped and compared in one call."""

import shlex
import time
from collections import Counter
from pathlib import Path
from typing import Any

from padiff.assign import assign_weight
from padiff.comparing.comparison import Comparison
from padiff.comparing.engine import compare
from padiff.errors import UsageError
from padiff.keywords import check_keywords
from padiff.model import create_model
from padiff.proxy import ProxyModel
from padiff.recording.boundary import Boundary
from padiff.render.terminal import render
from padiff.render.words import clean, layer_name, stage, tensor_name
from padiff.running.options import Options, arguments, pair_of
from padiff.running.side import Side, SideName
from padiff.running.single_step import replay_of

__all__ = ["auto_diff"]

_SHOWN = 12  # layers

_SIDES: tuple[SideName, SideName] = ("base", "raw")


def auto_diff(
    base_model: Any,
    raw_model: Any,
    inputs: Any,
    loss_fns: Any = None,
    optimizers: Any = None,
    *,
    atol: float = 0.0,
    rtol: float = 1e-7,
    auto_init: bool = True,
    compare_mode: str = "mean",
    diff_phase: str = "both",
    single_step: bool = False,
    steps: int = 1,
    **unknown: Any,
) -> bool:
    """Whether two models, of torch or paddle, do the same: run, record and compare both.

        auto_diff(torch_net, paddle_net, ({"x": torch_x}, {"x": paddle_x}), atol=1e-5)

    `base_model` is the reference, and `raw_model` is held against it.
    `inputs`, `loss_fns` and `optimizers` are pairs, of base and of raw. Inputs are dicts of
    arguments by name (tuples and lists: by position); a loss function takes what the model returns
    and gives a scalar, by default the mean over the means of all floating tensors in it; an
    optimizer is one of the framework, or a function that steps and clears the gradients.

    `auto_init` first gives raw the weights of base (`assign_weight`). `compare_mode` is `mean` or
    `strict`, within `atol + rtol * abs(base)`. `diff_phase` `forward` leaves the backward pass out;
    `backward` compares gradients alone, and needs `single_step`. With `single_step` every layer of
    raw computes on the inputs that base recorded, and receives base's gradients going back, so that
    an error never travels; raw's model runs once more before, and what that changes is put back.
    With optimizers, `steps` says how often all this is done.

    The log goes to standard output. The dumps stay in `auto_diff` under the dump root path. The
    gradients of both models are cleared first, and hold those of the run afterwards unless an
    optimizer has cleared them; nothing else of the models is changed but by their own forward
    and the optimizers: not the mode they are in, no hook is left, also when something raises.
    An error in the user's code passes through, with a line that says on which side it was.

    Raises TypeError or ValueError for an argument that is not as described.
    """
    known = {"loss_fns", "optimizers", *Options.__dataclass_fields__}
    check_keywords("padiff.auto_diff", unknown, known)
    options = Options(auto_init, atol, rtol, compare_mode, diff_phase, single_step, steps)
    options.check_optimizers(optimizers)
    base, raw = _sides(base_model, raw_model, inputs, loss_fns, optimizers, options)
    for side in (base, raw):
        framework = f"{side.framework.name} {side.framework.version}"
        print(f"auto_diff: {side.label} is {clean(side.name, 40)}, {framework}")
    print(f"auto_diff: {options}")
    if auto_init and not assign_weight(base.proxy, raw.proxy):
        return _end(False)
    try:
        _run(base, raw, options)
    finally:
        for side in (base, raw):
            side.recording.clear()
    locations = [_from_here(side.home) for side in (base, raw)]
    comparison = compare(
        locations[0],
        locations[1],
        phase=diff_phase,
        mode=compare_mode,
        atol=atol,
        rtol=rtol,
        steps=range(steps),
    )
    print("\n".join([*_stages(comparison), ""]))
    print(render(comparison))
    if single_step:
        print("\n".join(_apart(comparison)), end="")
    print(f"auto_diff: padiff-check {shlex.join(map(str, locations))} compares the dumps again")
    return _end(comparison.aligned)


def _from_here(path: Path) -> Path:
    """A path as one would type it in the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _end(aligned: bool) -> bool:
    print(f"auto_diff: {'SUCCESS' if aligned else 'FAILED'}\n", flush=True)
    return aligned


def _sides(
    base_model: Any,
    raw_model: Any,
    inputs: Any,
    loss_fns: Any,
    optimizers: Any,
    options: Options,
) -> tuple[Side, Side]:
    proxies = [m if isinstance(m, ProxyModel) else create_model(m) for m in (base_model, raw_model)]
    given = pair_of("inputs", inputs, "a dict of arguments by name")
    losses = (None, None) if loss_fns is None else pair_of("loss_fns", loss_fns, "a function")
    for label, loss_fn in zip(_SIDES, losses, strict=True):
        if loss_fns is not None and not callable(loss_fn):
            raise TypeError(f"expected a function as the loss of {label}, got {loss_fn!r:.80}")
    updates = (None, None)
    if optimizers is not None:
        updates = pair_of("optimizers", optimizers, "an optimizer or a function")
        if None in updates:
            raise TypeError("expected an optimizer or a function of each side, got None of one")
    sides = []
    for at, (label, proxy) in enumerate(zip(_SIDES, proxies, strict=True)):
        args, kwargs = arguments(label, given[at], proxy._framework.is_tensor)
        recorded = options.single_step or proxy._inputs
        sides.append(Side(label, proxy, args, kwargs, losses[at], updates[at], recorded))
        sides[-1].check_inputs()
    base, raw = sides
    _check_apart(base, raw)
    _check_maps(base, raw)
    return base, raw


def _check_apart(base: Side, raw: Side) -> None:
    own, others = ({id(p): n for n, p in side.parameters()} for side in (base, raw))
    shared = [name for number, name in own.items() if number in others]
    if shared or base.model is raw.model:
        what = f"the parameter {shared[0]}" if shared else "the model itself"
        raise UsageError(
            f"expected two models, got two that share {what}: each would change the other's "
            "gradients, so give a copy of it"
        )


def _check_maps(base: Side, raw: Side) -> None:
    maps = [side.selection.layer_map for side in (base, raw)]
    if len(maps[0]) != len(maps[1]):
        found = " and ".join(
            f"{len(routes)} in that of {label} ({', '.join(routes) or 'none'})"
            for label, routes in zip(_SIDES, maps, strict=True)
        )
        raise UsageError(f"expected layer maps of one length, got {found}: map the same on both")


def _run(base: Side, raw: Side, options: Options) -> None:
    for side in (base, raw):
        side.framework.clear_gradients(side.model)
    for step in range(options.steps):
        _run_step(base, step, options, None)
        _run_step(raw, step, options, base if options.single_step else None)


def _run_step(side: Side, step: int, options: Options, leader: Side | None) -> None:
    """Run, record and dump a step; with a leader, on what that one has recorded."""
    begun = time.perf_counter()
    boundary: Boundary | None = None
    try:
        if leader is None:
            output, boundary = side.forward_by_use(of_outputs=options.single_step)
        else:
            boundary = replay_of(leader, side, step)
            output = side.forward(boundary)
        if options.diff_phase != "forward":
            side.backward(side.loss(output), boundary)
        elif side.loss_fn is not None:
            side.recording.note_loss(side.loss(output))
    finally:
        if boundary is not None:
            boundary.restore()
    side.dump("report", step)
    side.dump("params", step)
    if side.optimizer is not None:
        side.update()
        side.dump("weights", step)
    side.recording.clear()
    seconds = time.perf_counter() - begun
    print(f"auto_diff: step {step}: {side.label} ran and is dumped, {seconds:.2f} s", flush=True)


def _apart(comparison: Comparison) -> list[str]:
    """The layers that differ, of which in single step none does because of another."""
    found: dict[str, list[str]] = {}
    for record in comparison.records:
        if record.diverged and record.section == "report":
            side = record.either
            name = f"{layer_name(side)} ({clean(side.class_name or '', 40)})"
            found.setdefault(name, []).append(tensor_name(record))
    if not found:
        return []
    lines = [f"auto_diff: {len(found)} layers differ, each by itself:"]
    lines += [f"  {name}: {', '.join(what[:3])}" for name, what in list(found.items())[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"  ... and {len(found) - _SHOWN} more")
    return [*lines, "", ""]


def _stages(comparison: Comparison) -> list[str]:
    """How many tensors of each stage of a step were compared, and how many of them differ."""
    compared = Counter(stage(record) for record in comparison.records)
    diverged = Counter(stage(record) for record in comparison.records if record.diverged)
    return [
        f"auto_diff: {name}: {count} compared, {diverged[name] or 'none'} differ"
        for name, count in compared.items()
    ]
