"""Who may import whom: a module imports only from lines above its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# One line a tier, lowest first. Modules that share a line do not import one another.
TIERS = """
    errors version layouts _kernel
    dtypes jsonio keywords showing threads
    tree
    matching.classes
    matching.likeness matching.settings matching.tensors
    matching.alignment
    matching.siblings
    matching.trees
    matching.routes
    matching
    store.chunks store.exchange store.files store.format store.stats
    store.address store.flush store.rest store.storage
    store.array store.leftovers
    store.base store.chunked store.media.base store.hdf5.names
    store.raw
    store.media.archive_seal
    store.media.archive store.media.directory store.media.objects
    store.media.remote
    store.media
    store.hdf5.errors store.hdf5.filters store.hdf5.locating store.hdf5.unpacking
    store.hdf5.probe store.hdf5.seal store.hdf5.types
    store.hdf5.file store.hdf5.layout
    store.hdf5.array store.hdf5.section
    store.hdf5.dump
    store.hdf5.store
    store.hdf5
    store.zarr.bounds store.zarr.codecs store.section
    store.zarr.shards
    store.zarr.document
    store.zarr.array
    store.zarr.group
    store.zarr.section
    store.zarr.store
    store.zarr
    store.ours
    store.foreign.contents store.foreign.directories store.foreign.elements store.foreign.inert
    store.foreign.machine
    store.foreign.pickles store.foreign.tiles store.foreign.values
    store.foreign.zips
    store.foreign.hdf5 store.foreign.named store.foreign.npy store.foreign.paddle_files
    store.foreign.safetensors store.foreign.torch_files store.foreign.zarr
    store.foreign.padiff_json.documents store.foreign.padiff_json.files
    store.foreign.padiff_json.arrays
    store.foreign.padiff_json.parameters store.foreign.padiff_json.reports
    store.foreign.padiff_json.store
    store.foreign.padiff_json
    store.foreign.shards store.foreign.torch_distributed
    store.foreign.locating
    store.foreign
    store.roots
    store.location store.placing store.section_writer
    store.reader store.spill
    store.writer
    store.integrity store.verification
    store.verify_groups
    store.verify
    store
    naming.layout naming.likeness naming.values
    naming.figures naming.repeats naming.table naming.units
    naming.found naming.names
    naming.affinity naming.equal naming.parts
    naming.similar
    naming.search
    naming.suggest
    naming
    converting.conversion converting.destination converting.source
    converting.placing converting.state converting.stores
    converting.npz converting.safetensors
    converting.convert
    converting
    comparing.criterion comparing.order
    comparing.statistics
    comparing.arithmetic comparing.bounds comparing.close_up
    comparing.moves comparing.partners comparing.pieces comparing.tally
    comparing.streaming
    comparing.outcome comparing.telling
    comparing.looking comparing.table
    comparing.comparison comparing.integrity
    comparing.structure
    comparing.buffers comparing.gradients comparing.noise comparing.scope
    comparing.absent comparing.named
    comparing.planning
    comparing.records
    comparing.diff_tree comparing.engine
    comparing
    inspecting.disk inspecting.inspection
    inspecting.inspect
    inspecting
    render.lines render.printable
    render.markup render.terminal.screen render.words
    render.findings render.folding render.lone render.outline
    render.causes render.layers render.summary render.traps
    render.terminal.first render.terminal.trees render.terminal.unmatched render.terminal.worst
    render.compact render.inspection render.page.columns render.page.layers render.structure
    render.terminal
    render.page.document
    render.page
    render
    notebook plotting
    frameworks.interception
    frameworks.stepping
    frameworks.base
    frameworks.torch frameworks.paddle
    frameworks
    recording.background recording.failing recording.memory recording.origins recording.source
    recording.structure recording.spool
    recording.capture recording.draft recording.gradients recording.selection
    recording.boundary recording.parameters
    recording.report
    recording.dump recording.recorder
    recording.recording
    recording dump_root
    weights.special
    weights.inventory
    weights.pairing weights.partners weights.values
    weights.planning
    weights.copying
    weights
    proxy
    model
    batches loop testing
    assign check golden running.options running.state
    running.side
    running.single_step
    running
    diff pytest_plugin
    cli.output cli.places
    cli.options
    cli.check_command cli.completion_command cli.convert_command cli.diff_tree_command
    cli.inspect_command cli.suggest_map_command cli.verify_command
    cli.commands
    cli
    zarr_types
    zarr_plugin
"""

# The store is all that the two halves share: neither side of it imports the other.
COMPARING = ("comparing", "inspecting", "render", "converting", "notebook", "plotting")
RECORDING = ("frameworks", "recording", "weights", "proxy", "model", "loop", "dump_root")


def tiers() -> dict[str, int]:
    lines = [line.split() for line in TIERS.strip().splitlines()]
    table = {f"padiff.{name}": tier for tier, names in enumerate(lines) for name in names}
    return table | {"padiff": len(lines)}


def modules(root: Path) -> dict[str, Path]:
    """Every module below `root/padiff` by its dotted name."""
    found = {}
    for path in sorted((root / "padiff").rglob("*.py*")):
        if path.suffix not in (".py", ".pyi"):  # the latter stand for what is compiled
            continue
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that a file imports, inside functions as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            submodules = {f"{module}.{alias.name}" for alias in node.names} & known
            whole = len(submodules) < len(node.names)
            names = [*sorted(submodules), *([module] if whole else [])]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            first = node.args[0]
            names = [str(first.value) if isinstance(first, ast.Constant) else "padiff.cannot_tell"]
        else:
            continue
        for name in names:
            yield node.lineno, name


def knowing(root: Path, framework: str) -> set[str]:
    """The modules below `root/padiff` that import `framework`."""
    found = modules(root)
    return {
        name
        for name, path in found.items()
        for _, target in imports(path, set(found))
        if target.split(".")[0] == framework
    }


def half(module: str) -> str | None:
    part = module.split(".")[1] if "." in module else ""
    return "comparing" if part in COMPARING else "recording" if part in RECORDING else None


def violations(root: Path) -> list[str]:
    """Every import below `root/padiff` that the table forbids, and every file it does not know."""
    table, found = tiers(), modules(root)
    wrong = [f"{name}: not in the table" for name in found if name not in table]
    for name, path in found.items():
        for line, target in imports(path, set(found)):
            if target.split(".")[0] != "padiff":
                continue
            where = f"{path.relative_to(root)}:{line}: {name} imports {target}"
            if name == "padiff":  # imports what it re-exports when asked, which is all it may do
                continue
            if name in table and table.get(target, len(table)) >= table[name]:
                wrong.append(f"{where}, which is not above it")
            if {half(name), half(target)} == {"comparing", "recording"}:
                wrong.append(f"{where}, across the store")
    return wrong


def test_imports_go_up_the_table_only() -> None:
    assert violations(ROOT) == []


def test_the_table_names_no_module_that_is_gone() -> None:
    assert set(tiers()) - set(modules(ROOT)) == set()


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("tree.py", "from padiff.store import base", "imports padiff.store.base, which is not"),
        ("tree.py", "from padiff.store.base import Array", "imports padiff.store.base, which is"),
        ("tree.py", "def f():\n    import padiff.cli", "imports padiff.cli, which is not above"),
        ("tree.py", "from padiff import compare", "imports padiff, which is not above it"),
        ("jsonio.py", "from padiff.dtypes import DType", "imports padiff.dtypes, which is not"),
        (
            "errors.py",
            "from importlib import import_module as m\nimport_module('padiff.cli')",
            "cli",
        ),
        ("errors.py", "import importlib as i\ni.import_module('pa' + 'diff.cli')", "cannot_tell"),
        ("model.py", "from padiff.comparing import engine", "padiff.comparing.engine, across the"),
        ("new.py", "", "padiff.new: not in the table"),
        ("showing.py", "from padiff.cli import main", "imports padiff.cli, which is not above"),
        ("keywords.py", "import padiff.notebook", "imports padiff.notebook, which is not above"),
        (
            "tree.py",
            "from importlib import import_module\nimport_module('padiff.plotting')",
            "imports padiff.plotting, which is not above",
        ),
    ],
)
def test_a_planted_violation_is_caught(
    tmp_path: Path, file: str, source: str, complaint: str
) -> None:
    for name in ("store/base.py", "comparing/engine.py"):
        (tmp_path / "padiff" / name).parent.mkdir(parents=True)
        (tmp_path / "padiff" / name).touch()
    (tmp_path / "padiff" / file).write_text(source)
    (found,) = violations(tmp_path)
    assert complaint in found


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_one_module_knows_the_framework(tmp_path: Path, framework: str) -> None:
    assert knowing(ROOT, framework) == {f"padiff.frameworks.{framework}"}
    (tmp_path / "padiff").mkdir()
    (tmp_path / "padiff/check.py").write_text(f"def f():\n    from {framework}.nn import Linear")
    assert knowing(tmp_path, framework) == {"padiff.check"}
