"""What recording and dumping cost a training: `python -m benchmarks.training [torch|paddle]`."""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from benchmarks.gpt import WIDTH, WORDS, build, tokens
from benchmarks.measure import Candidate, Target, judge, medians, scratch, show
from padiff import ProxyModel, create_model
from padiff.frameworks import framework_of

__all__ = ["main"]

ROUNDS = {"torch": 20, "paddle": 6}
NARROW = 60
DUMPS = 5
IN_A_ROW = 7  # dumps in the background, of which the first two find no memory in use yet
Arrays = dict[str, NDArray[Any]]


class Training:
    """The model, a batch of it, and its plain step: forward, a loss, backward."""

    def __init__(self, name: str, width: int = WIDTH, words: int = WORDS) -> None:
        self.name = name
        self.model = build(name, width, words)
        self.batch = tokens(name, words)
        self.framework = framework_of(self.model)

    def step(self, model: Any) -> Any:
        """One step of the model, or of a proxy of it; returns what the model did."""
        out = model(**self.batch)
        loss = out.mean()
        model.backward(loss) if isinstance(model, ProxyModel) else loss.backward()
        return out

    def clear(self) -> None:
        """Leave no gradients."""
        self.framework.clear_gradients(self.model)

    def outputs(self) -> list[Any]:
        """What every layer returns in one step, and the gradients of its inputs, as they lie."""
        kept: list[Any] = []
        hooks = []
        for layer in self.model.sublayers() if self.name == "paddle" else self.model.modules():

            def seen(_: Any, inputs: Any, output: Any) -> None:
                kept.append(output)
                for tensor in inputs:
                    if self.framework.wants_gradient(tensor):
                        tensor.register_hook(kept.append)

            add: Any = "register_forward_post_hook" if self.name == "paddle" else None
            hooks.append(getattr(layer, add or "register_forward_hook")(seen))
        self.step(self.model)
        for hook in hooks:
            hook.remove()
        return kept


def copying(training: Training) -> tuple[float, int]:
    """Seconds to copy what a step records from where it lies to memory in use, and its bytes."""
    tensors = [training.framework.to_host(tensor).values for tensor in training.outputs()]
    places = [np.ones_like(values) for values in tensors]
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        for place, values in zip(places, tensors, strict=True):
            np.copyto(place, values)
        seconds.append(time.perf_counter() - start)
    training.clear()
    return median(seconds[1:]), sum(values.nbytes for values in tensors)


def passing_by(name: str) -> float:
    """Seconds that padiff adds to a step that is not dumped.

    It is the same for layers of any size, and seen best where they do little: a plain step varies
    by more than the share that is asked for.
    """
    narrow = Training(name, width=24, words=100)
    passing = create_model(narrow.model)
    narrow.step(passing)
    passing.try_dump(1 << 30)
    seconds: list[list[float]] = [[], []]
    for _ in range(NARROW):
        for model, found in zip((narrow.model, passing), seconds, strict=True):
            start = time.perf_counter()
            narrow.step(model)
            found.append(time.perf_counter() - start)
            narrow.clear()
    return median(seconds[1]) - median(seconds[0])


def steps(training: Training) -> list[Target]:
    """(a) a step that is not dumped, (b) a recorded one without its dump, beside a plain one."""
    recording = create_model(training.model)
    passing = create_model(training.model)
    training.step(passing)
    passing.try_dump(1 << 30)
    recorded_bytes = [0]

    def record() -> None:
        training.step(recording)

    def after() -> None:
        drafts = (draft for root in recording._recording.roots for draft in root.walk())
        kept = (captured.kept.values().nbytes for d in drafts for captured in d.tensors)
        recorded_bytes[0] = sum(kept)
        recording.clear_report()
        training.clear()

    copy, copied = copying(training)
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS[training.name] + 1):
        for name, run, end in (
            ("plain", lambda: training.step(training.model), training.clear),
            ("not dumped", lambda: training.step(passing), training.clear),
            ("recorded", record, after),
        ):
            start = time.perf_counter()
            run()
            seconds.setdefault(name, []).append(time.perf_counter() - start)
            end()
    middle = {name: median(values[1:]) for name, values in seconds.items()}
    least = {name: min(values[1:]) for name, values in seconds.items()}
    copy *= recorded_bytes[0] / copied
    show(f"A step in {training.name}, median", middle | {"memcpy": copy}, "plain")
    show(f"A step in {training.name}, least", least | {"memcpy": copy}, "plain")
    print(f"  {recorded_bytes[0] / 1e6:.0f} MB recorded")
    added = passing_by(training.name)
    print(f"  {added * 1e3:.2f} ms added to a step that is not dumped, by layers that do little")
    extra = (least["recorded"] - least["plain"]) / copy
    return [
        Target("a step not dumped / plain", 1 + added / least["plain"], 1.02, ""),
        Target("what recording adds / memcpy", extra, 2, ""),
    ]


def arrays_of(proxy: ProxyModel, training: Training) -> Arrays:
    """All that a step dumps, in memory, by a name of its own."""
    drafts = [draft for root in proxy._recording.roots for draft in root.walk()]
    found = {
        f"{number}.{draft.route}.{captured.leaf}": captured.kept.values()
        for number, draft in enumerate(drafts)
        for captured in draft.tensors
    }
    for route, layer in training.framework.named_layers(training.model):
        for name, value in training.framework.parameters(layer):
            for kind, tensor in (("weight", value), ("grad", training.framework.gradient(value))):
                found[f"{route}.{name}.{kind}"] = training.framework.to_host(tensor).values
    return found


def save_each(directory: Path, arrays: Arrays) -> None:
    """The old way: a .npy file for each tensor, and JSON that says what lies where."""
    directory.mkdir()
    names = {}
    for number, (name, values) in enumerate(arrays.items()):
        np.save(directory / f"{number}.npy", values)
        names[name] = {"path": f"{number}.npy", "shape": values.shape, "dtype": str(values.dtype)}
    (directory / "report.json").write_text(json.dumps(names))


def flushed(save: Callable[[], object]) -> Callable[[], object]:
    """The same, and on the disk when it is done."""

    def run() -> None:
        save()
        os.sync()

    return run


def dumps(training: Training, root: Path) -> list[Target]:
    """(c) A whole dump, of report and params, beside other ways to write the same bytes."""
    places: Iterator[Path] = (root / f"{number}" for number in range(10**6))
    sides = {}
    for suffix in ("zarr", "h5"):
        for durable in (False, True):
            proxy = create_model(training.model, durable=durable)
            training.step(proxy)
            sides[f"padiff {suffix}{', flushed' if durable else ''}"] = proxy, suffix
    arrays = arrays_of(proxy, training)
    whole = np.concatenate([v.reshape(-1).view(np.uint8) for v in arrays.values()])
    elsewhere = np.ones_like(whole)

    def dump(proxy: ProxyModel, suffix: str) -> None:
        # as try_dump does, which would forget the report
        place = next(places).with_suffix(f".{suffix}")
        proxy._recording.dump_step(place, step=0)

    ways: dict[str, Callable[[], object]] = {
        "memcpy": lambda: np.copyto(elsewhere, whole),
        "numpy.save": lambda: np.save(next(places), whole),
        "safetensors": lambda: save_file(arrays, next(places)),
        "a .npy each": lambda: save_each(next(places), arrays),
    }
    ways |= {f"{name}, flushed": flushed(save) for name, save in list(ways.items())[1:]}
    for name, (proxy, suffix) in sides.items():
        ways[name] = lambda p=proxy, s=suffix: dump(p, s)  # type: ignore[misc]

    def empty() -> None:
        # names are kept: ext4 looks at each inode that was freed lately when it makes a new file
        for path in root.rglob("*"):
            if path.is_file():
                os.truncate(path, 0)

    seconds = medians({name: Candidate(way, empty) for name, way in ways.items()}, DUMPS)
    gigabytes = whole.nbytes / 1e9
    show(
        f"A dump of {len(arrays)} tensors, {gigabytes:.2f} GB, {training.name}",
        seconds,
        "numpy.save",
    )
    return [
        Target(
            f"numpy.save / {name}",
            seconds[f"numpy.save{', flushed' if 'flushed' in name else ''}"] / seconds[name],
            0.8,
            "of its speed",
            at_least=True,
        )
        for name in sides
    ]


def background(training: Training, root: Path) -> list[Target]:
    """(d) How long a dump holds up the training, and how long steps and dumps take in all."""
    found: dict[str, float] = {}
    for name, behind in (("at once", False), ("in the background", True)):
        proxy = create_model(training.model, background=behind, memory_limit="4GiB")
        held = []
        begun = time.perf_counter()
        for _ in range(IN_A_ROW):
            training.step(proxy)
            start = time.perf_counter()
            proxy.try_dump(1, root / f"{name}.zarr")
            held.append(time.perf_counter() - start)
            training.clear()
        proxy.flush()
        found[f"{name}: a step and its dump"] = (time.perf_counter() - begun) / IN_A_ROW
        found[f"{name}: held by try_dump"] = median(held[2:])
        shutil.rmtree(root / f"{name}.zarr")
    arrays = arrays_of_parameters(training)
    places = [np.ones_like(values) for values in arrays]
    copying = []
    for _ in range(DUMPS):
        start = time.perf_counter()
        for place, values in zip(places, arrays, strict=True):
            np.copyto(place, values)
        copying.append(time.perf_counter() - start)
    memcpy = found["memcpy of what is overwritten"] = median(copying)
    show(f"Dumps in the background, {training.name}", found, "memcpy of what is overwritten")
    held_by = found["in the background: held by try_dump"] / memcpy
    return [Target("held by a dump in the background / memcpy", held_by, 1.5, "times the time")]


def arrays_of_parameters(training: Training) -> list[NDArray[Any]]:
    """Parameters twice, once for their gradients, which are cleared."""
    framework, model = training.framework, training.model
    layers = framework.named_layers(model)
    return 2 * [
        framework.to_host(v).values for _, la in layers for _, v in framework.parameters(la)
    ]


def main() -> int:
    """Run all for one framework, or both; 1 when a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("framework", nargs="*", choices=["torch", "paddle"], help="only this")
    targets = []
    names = parser.parse_args().framework or ("torch", "paddle")
    with scratch(needed=12 << 30) as root:
        for name in names:
            training = Training(name)
            targets += steps(training)
            targets += dumps(training, root)
            targets += background(training, root)
        return judge(targets)


if __name__ == "__main__":
    sys.exit(main())
