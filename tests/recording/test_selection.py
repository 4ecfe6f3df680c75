"""Black and white lists: which layers are recorded, and where the others' children go."""

from pathlib import Path
from typing import Any

import pytest

from padiff import ProxyModel, create_model, open_dump
from padiff.errors import UsageError
from padiff.store.reader import Section
from tests.zoo import SIDES, ZOO

both = pytest.mark.parametrize("framework", SIDES)
# Data -> named -> named.split -> named.split.fc
ALL = ["", "named", "named.split", "named.split.fc"]


def proxy_of(framework: str, name: str = "dataclass") -> ProxyModel:
    return create_model(ZOO[name].build(framework))


def routes(proxy: ProxyModel, framework: str, where: Path, name: str = "dataclass") -> list[str]:
    """What a run records, once the report and the parameters are seen to agree."""
    args, kwargs = ZOO[name].inputs(framework)
    proxy(*args, **kwargs)
    proxy.dump_report(where)
    proxy.dump_params(where)
    dump = open_dump(where)
    found = listed(dump.report)
    assert listed(dump.params) == found
    return found


def listed(section: Section) -> list[str]:
    return [node.route for node in section.tree.walk()]


@both
@pytest.mark.parametrize(
    ("mode", "left"),
    [
        ("self", ["", "named", "named.split.fc"]),
        ("sublayers", ["", "named", "named.split"]),
        ("all", ["", "named"]),
    ],
)
def test_a_black_list_leaves_out(
    framework: str, mode: Any, left: list[str], tmp_path: Path
) -> None:
    proxy = proxy_of(framework)
    proxy.update_black_list([proxy.model.named.split], mode)
    assert routes(proxy, framework, tmp_path) == left


@both
@pytest.mark.parametrize(
    ("mode", "left"),
    [
        ("self", ["", "named.split"]),
        ("sublayers", ["", "named.split.fc"]),
        ("all", ["", "named.split", "named.split.fc"]),
    ],
)
def test_a_white_list_lets_in(framework: str, mode: Any, left: list[str], tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    proxy.update_white_list(proxy.model.named.split, mode)
    assert routes(proxy, framework, tmp_path) == left


@both
def test_without_a_list_all_are_recorded(framework: str, tmp_path: Path) -> None:
    assert routes(proxy_of(framework), framework, tmp_path) == ALL


@both
def test_children_of_what_is_left_out_hang_under_the_nearest(
    framework: str, tmp_path: Path
) -> None:
    proxy = proxy_of(framework)
    proxy.update_black_list([proxy.model.named, proxy.model.named.split], "self")
    assert routes(proxy, framework, tmp_path) == ["", "named.split.fc"]
    dump = open_dump(tmp_path)
    for section in (dump.report, dump.params):
        (root,) = section.tree.roots
        assert [child.route for child in root.children] == ["named.split.fc"]
    assert set(dump.params["named.split.fc"].weight) == {"weight", "bias"}


@both
def test_the_white_list_goes_before_the_black(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    proxy.update_black_list(proxy.model.named, "all")
    proxy.update_white_list(proxy.model.named, "self")
    assert routes(proxy, framework, tmp_path) == ["", "named"]


@both
def test_lists_grow(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    proxy.update_black_list(proxy.model.named, "self")
    proxy.update_black_list(proxy.model.named.split.fc, "self")
    assert routes(proxy, framework, tmp_path) == ["", "named.split"]


@both
def test_the_model_itself_is_always_recorded(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework)
    proxy.update_black_list(proxy.model, "all")
    assert routes(proxy, framework, tmp_path) == [""]


@both
def test_lists_by_class(framework: str, tmp_path: Path) -> None:
    proxy = proxy_of(framework, "loop")
    linear = type(proxy.model.never)
    proxy.update_black_list_with_class(linear, "self")
    args, _ = ZOO["loop"].inputs(framework)
    proxy(*args)
    proxy.dump_report(tmp_path)
    assert set(listed(open_dump(tmp_path).report)) == {"", "cell", "cell.act"}
    white = proxy_of(framework, "loop")
    white.update_white_list_with_class([linear, type(proxy.model.cell.act)], "all")
    white.dump_weights(tmp_path)
    assert listed(open_dump(tmp_path).weights) == [
        "",
        *(f"cell.{x}" for x in ("up", "act", "down")),
        "never",
    ]


@both
def test_a_class_of_which_there_is_no_layer(framework: str, tmp_path: Path) -> None:
    other = type(ZOO["recurrent"].build(framework).lstm)
    black = proxy_of(framework)
    black.update_black_list_with_class(other, "all")
    assert routes(black, framework, tmp_path) == ALL
    white = proxy_of(framework)
    white.update_white_list_with_class(other, "all")
    assert routes(white, framework, tmp_path) == [""]


@both
def test_a_list_of_layers_as_the_model_holds_them(framework: str) -> None:
    """A container of layers is a layer: it is meant itself, not what it iterates over."""
    proxy = proxy_of(framework, "encoder")
    proxy.update_black_list(proxy.model.encoder.layers, "self")
    left = proxy._selection.layers()
    assert "encoder.layers" not in left
    assert "encoder.layers.0" in left


@both
def test_wrong_arguments_are_named(framework: str) -> None:
    proxy = proxy_of(framework)
    with pytest.raises(ValueError, match="expected the mode 'self', 'sublayers' or 'all', got 'x'"):
        proxy.update_black_list(proxy.model.named, "x")  # type: ignore[arg-type]
    stranger = ZOO["residual"].build(framework).up
    for update in (proxy.update_black_list, proxy.update_white_list):
        with pytest.raises(
            ValueError,
            match="expected layers of this Data, got Linear.*they are the model itself, named, ",
        ):
            update([proxy.model.named, stranger], "self")
        with pytest.raises(ValueError, match="got 'named', which is none of them"):
            update("named", "self")
    for by_class in (proxy.update_black_list_with_class, proxy.update_white_list_with_class):
        with pytest.raises(UsageError, match="expected a class of layers or a list of them, got 3"):
            by_class([3], "self")  # type: ignore[list-item]
        with pytest.raises(ValueError, match="expected the mode"):
            by_class(type(stranger), "selves")  # type: ignore[arg-type]
    assert list(proxy._selection.layers()) == ALL
