"""What padiff offers: `__all__` says it, everywhere, and nothing public is without a word."""

import ast
from pathlib import Path
from types import ModuleType

import pytest

import padiff

PACKAGE = Path(__file__).parents[2] / "padiff"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.stat().st_size)


def names_of(path: Path) -> tuple[ast.Module, list[str]]:
    """The file's syntax tree and its `__all__`."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            return tree, ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no __all__")


def test_all_is_sorted_and_every_name_is_there() -> None:
    assert list(padiff.__all__) == sorted(set(padiff.__all__))
    for name in padiff.__all__:
        assert getattr(padiff, name) is not None


def test_all_holds_every_public_name() -> None:
    public = {
        name
        for name in dir(padiff)
        if not name.startswith("_") and not isinstance(getattr(padiff, name), ModuleType)
    }
    assert public == {name for name in padiff.__all__ if not name.startswith("_")}


def test_no_module_hides_a_public_name() -> None:
    # importing padiff.x sets the attribute x of padiff, over a function of that name
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert modules & set(padiff.__all__) == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_lists_and_describes_what_it_offers(path: Path) -> None:
    tree, offered = names_of(path)
    assert ast.get_docstring(tree), f"{path} has no docstring"
    assert len(offered) == len(set(offered))
    definitions = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    public = {name for name in definitions if not name.startswith("_")}
    assert public <= set(offered), "public by name, yet not in __all__"
    for name in public:
        assert ast.get_docstring(definitions[name]), f"{name} in {path} has no docstring"
