"""Which layer is paired with which, and that what finds no partner is never dropped."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from padiff import compare, create_model
from padiff.errors import FormatError
from padiff.matching.classes import class_score
from padiff.matching.tensors import match_tensors
from padiff.matching.trees import match_trees
from padiff.tree import LayerTree, Node, Phase, TensorRecord, TensorStats

STATS = TensorStats(None, None, None, None, None, 0, 0)


def tensor(
    place: str,
    shape: tuple[int, ...] = (2, 3),
    phase: Phase | None = "forward",
    dims: tuple[str, ...] | None = None,
) -> TensorRecord:
    return TensorRecord(f"a/{place}", phase, place, shape, "float32", "cpu", 0, STATS, (), "", dims)


def node(
    route: str,
    name: str,
    *children: Node,
    shape: tuple[int, ...] | None = (2, 3),
    call: int = 0,
) -> Node:
    tensors = () if shape is None else (tensor("0", shape),)
    return Node(name, route, call, 0, children=children, tensors=tensors)


def net(*children: Node) -> LayerTree:
    return LayerTree((node("", "Net", *children),))


def routes(
    base: LayerTree, raw: LayerTree, base_map: Sequence[str] = (), raw_map: Sequence[str] = ()
) -> tuple[set[tuple[str, str]], set[str], set[str]]:
    """Pairs of `route` or `route~call` without the models', and what is alone."""
    matching = match_trees(base, raw, base_map, raw_map)
    placed = [*matching.base_only, *(pair[0] for pair in matching.pairs)]
    assert sorted(map(id, placed)) == sorted(map(id, base.walk()))
    placed = [*matching.raw_only, *(pair[1] for pair in matching.pairs)]
    assert sorted(map(id, placed)) == sorted(map(id, raw.walk()))

    def word(one: Node) -> str:
        return f"{one.route}~{one.call}" if one.call else one.route

    return (
        {(word(a), word(b)) for a, b in matching.pairs if a.route or b.route},
        {word(one) for one in matching.base_only},
        {word(one) for one in matching.raw_only},
    )


def same(*names: str) -> set[tuple[str, str]]:
    return {(name, name) for name in names}


def test_equal_trees_pair_route_by_route() -> None:
    tree = net(node("a", "Linear"), node("b", "Block", node("b.x", "ReLU"), node("b.y", "Linear")))
    assert routes(tree, tree) == (same("a", "b", "b.x", "b.y"), set(), set())


def test_names_differ_but_class_and_order_agree() -> None:
    base = net(node("fc1", "Linear"), node("act", "ReLU"), node("fc2", "Linear"))
    raw = net(node("one", "Linear"), node("two", "ReLU"), node("three", "Linear"))
    pairs, left, right = routes(base, raw)
    assert pairs == {("fc1", "one"), ("act", "two"), ("fc2", "three")}
    assert not left | right


def test_an_extra_layer_shifts_nothing() -> None:
    base = net(node("a", "Linear"), node("b", "Linear"), node("c", "Linear"))
    raw = net(node("a", "Linear"), node("extra", "Dropout"), node("b", "Linear"))
    assert routes(base, raw) == (same("a", "b"), {"c"}, {"extra"})


def test_internal_layers_of_one_framework_shift_nothing() -> None:
    base = net(node("emb", "Embedding"), node("rnn", "LSTM"), node("head", "Linear"))
    cell = node("rnn.0", "RNN", node("rnn.0.cell", "LSTMCell"))
    raw = net(node("emb", "Embedding"), node("rnn", "LSTM", cell), node("head", "Linear"))
    assert routes(base, raw) == (same("emb", "rnn", "head"), set(), {"rnn.0", "rnn.0.cell"})


def test_indexes_that_shifted_are_weak_evidence() -> None:
    base = net(node("0", "Linear"), node("1", "ReLU"), node("2", "Linear"), node("3", "ReLU"))
    raw = net(
        node("0", "Linear"),
        node("1", "Dropout"),
        node("2", "ReLU"),
        node("3", "Linear"),
        node("4", "ReLU"),
    )
    pairs, left, right = routes(base, raw)
    assert pairs == {("0", "0"), ("1", "2"), ("2", "3"), ("3", "4")}
    assert (left, right) == (set(), {"1"})


def test_shapes_tell_more_than_indexes_that_shifted() -> None:
    base = net(node("0", "Linear", shape=(2,)), node("1", "Linear", shape=(3,)))
    raw = net(
        node("0", "Linear", shape=(9,)),
        node("1", "Linear", shape=(2,)),
        node("2", "Linear", shape=(3,)),
    )
    assert routes(base, raw) == ({("0", "1"), ("1", "2")}, set(), {"0"})


def test_as_many_indexes_that_mean_something_else() -> None:
    base = net(node("0", "Linear"), node("1", "ReLU"), node("2", "LayerNorm"))
    raw = net(node("0", "LayerNorm"), node("1", "Linear"), node("2", "ReLU"))
    pairs, left, right = routes(base, raw)
    assert pairs == {("0", "1"), ("1", "2")}
    assert (left, right) == ({"2"}, {"0"})


def test_equal_routes_do_not_join_different_classes() -> None:
    base = net(node("x", "ReLU"), node("y", "Linear"))
    raw = net(node("x", "Linear"), node("y", "ReLU"))
    pairs, _, _ = routes(base, raw)
    assert ("x", "x") not in pairs
    assert ("y", "y") not in pairs


def test_a_wrong_class_of_the_same_kind_is_paired_so_that_it_is_found() -> None:
    base = net(node("fc", "Linear"), node("act", "ReLU"), node("fc2", "Linear"))
    raw = net(node("fc", "Linear"), node("act", "GELU"), node("fc2", "Linear"))
    assert routes(base, raw)[0] == same("fc", "act", "fc2")


def test_other_order_of_execution_pairs_by_route() -> None:
    base = net(node("left", "Linear"), node("right", "Linear"), node("out", "Linear"))
    raw = net(node("right", "Linear"), node("left", "Linear"), node("out", "Linear"))
    assert routes(base, raw) == (same("left", "right", "out"), set(), set())


def test_calls_pair_call_by_call() -> None:
    base = net(*(node("cell", "GRUCell", call=call) for call in range(4)))
    raw = net(*(node("cell", "GRUCell", call=call) for call in range(3)))
    pairs, left, right = routes(base, raw)
    assert pairs == {("cell", "cell"), ("cell~1", "cell~1"), ("cell~2", "cell~2")}
    assert (left, right) == ({"cell~3"}, set())


def test_a_side_that_wraps_its_layers() -> None:
    inner = (node("a", "Linear"), node("b", "ReLU"), node("c", "Linear"))
    raw = net(
        node(
            "wrap",
            "Wrapper",
            node("wrap.a", "Linear"),
            node("wrap.b", "ReLU"),
            node("wrap.c", "Linear"),
        )
    )
    pairs, left, right = routes(net(*inner), raw)
    assert pairs == {("a", "wrap.a"), ("b", "wrap.b"), ("c", "wrap.c")}
    assert (left, right) == (set(), {"wrap"})
    pairs, left, right = routes(raw, net(*inner))
    assert pairs == {("wrap.a", "a"), ("wrap.b", "b"), ("wrap.c", "c")}
    assert (left, right) == ({"wrap"}, set())


def test_a_wrapper_is_not_what_it_wraps() -> None:
    def block(route: str) -> Node:
        return node(route, "Block", node(f"{route}.fc", "Linear"), node(f"{route}.act", "ReLU"))

    raw = net(node("checkpoint", "Checkpoint", block("checkpoint.inner")))
    pairs, left, right = routes(net(block("block")), raw)
    assert pairs == {
        ("block", "checkpoint.inner"),
        ("block.fc", "checkpoint.inner.fc"),
        ("block.act", "checkpoint.inner.act"),
    }
    assert (left, right) == (set(), {"checkpoint"})


def test_blocks_in_a_row_pair_with_blocks_in_groups() -> None:
    def block(route: str) -> Node:
        return node(route, "Block", node(f"{route}.fc", "Linear"))

    def group(route: str) -> Node:
        return node(route, "Sequential", block(f"{route}.0"), block(f"{route}.1"))

    row = net(*(block(str(i)) for i in range(4)))
    groups = net(group("0"), group("1"))
    expected = {(str(i), f"{i // 2}.{i % 2}") for i in range(4)}
    expected |= {(f"{a}.fc", f"{b}.fc") for a, b in expected}
    assert routes(row, groups) == (expected, set(), {"0", "1"})
    swapped = {(b, a) for a, b in expected}
    assert routes(groups, row) == (swapped, {"0", "1"}, set())


def test_what_runs_elsewhere_is_no_partner_for_what_runs_here() -> None:
    middle = node("m1", "LayerNorm"), node("m2", "LayerNorm")
    base = net(node("a", "Linear"), *middle, node("b", "Linear"))
    raw = net(node("x", "Linear"), *middle, node("a", "Linear"))
    assert routes(base, raw) == (same("a", "m1", "m2"), {"b"}, {"x"})


def test_numbered_layers_that_run_in_another_order() -> None:
    def block(route: str) -> Node:
        return node(route, "Block", node(f"{route}.fc", "Linear"))

    blocks = [block(f"blocks.{at}") for at in range(4)]
    base, raw = net(*blocks, node("head", "Linear")), net(*blocks[::-1], node("head", "Linear"))
    both = [f"blocks.{at}" for at in range(4)]
    assert routes(base, raw) == (same("head", *both, *(f"{at}.fc" for at in both)), set(), set())


def test_numbers_do_not_join_layers_of_other_shapes_that_run_elsewhere() -> None:
    base = net(*(node(f"blocks.{at}", "Linear", shape=(at + 2,)) for at in (0, 1)))
    raw = net(node("blocks.1", "Linear", shape=(2,)), node("blocks.0", "Linear", shape=(3,)))
    crossed = {("blocks.0", "blocks.1"), ("blocks.1", "blocks.0")}
    assert routes(base, raw)[0] == crossed


def test_groups_that_are_cut_differently() -> None:
    def block(route: str) -> Node:
        return node(route, "Block", node(f"{route}.fc", "Linear"), node(f"{route}.act", "ReLU"))

    def group(route: str, count: int) -> Node:
        return node(route, "Sequential", *(block(f"{route}.{at}") for at in range(count)))

    for extra in ((), (node("drop", "Dropout"),)):
        base = net(node("stem", "Conv2d"), group("blocks", 8), node("head", "Linear"))
        raw = net(
            node("stem", "Conv2D"), group("s1", 6), group("s2", 2), *extra, node("head", "Linear")
        )
        expected = {(f"blocks.{at}", f"s{1 + at // 6}.{at % 6}") for at in range(8)}
        expected |= {(f"{a}.{part}", f"{b}.{part}") for a, b in expected for part in ("fc", "act")}
        expected |= same("stem", "head")
        assert routes(base, raw) == (expected, {"blocks"}, {"s1", "s2", *(e.route for e in extra)})


def test_a_layer_on_the_other_side_of_a_boundary() -> None:
    a, b, c = (node(f"one.{at}", "Linear") for at in range(3))
    base = net(node("one", "Sequential", a, b), node("two", "Sequential", c))
    one = node("x.0", "Linear")
    two = node("y.0", "Linear"), node("y.1", "Linear")
    raw = net(node("x", "Sequential", one), node("y", "Sequential", *two))
    pairs, left, right = routes(base, raw)
    assert pairs == {("one.0", "x.0"), ("one.1", "y.0"), ("one.2", "y.1")}
    assert (left, right) == ({"one", "two"}, {"x", "y"})


def test_containers_that_hold_the_same_are_found_by_that() -> None:
    def stage(route: str, *kinds: str) -> Node:
        return node(route, "Stage", *(node(f"{route}.{n}", kind) for n, kind in enumerate(kinds)))

    first = ("Conv2d", "ReLU", "MaxPool2d")
    base = net(
        stage("a", *first), stage("b", "Linear", "Linear", "Linear"), stage("c", "LayerNorm")
    )
    raw = net(stage("p", *first), stage("q", "Linear"), stage("r", "Linear", "Linear", "LayerNorm"))
    pairs, left, right = routes(base, raw)
    assert ("a", "p") in pairs
    assert {("b.0", "q.0"), ("b.1", "r.0"), ("b.2", "r.1"), ("c.0", "r.2")} <= pairs
    assert (left, right) == ({"b", "c"}, {"q", "r"})


def test_a_block_that_lacks_a_layer_keeps_its_place() -> None:
    def block(route: str, *names: str) -> Node:
        return node(route, "Block", *(node(f"{route}.{name}", "Linear") for name in names))

    base = net(*(block(f"b{at}", "u", "v", "w") for at in range(3)))
    raw = net(block("c0", "x", "y", "z"), block("c1", "x", "y"), block("c2", "x", "y", "z"))
    pairs, left, _ = routes(base, raw)
    assert {("b0", "c0"), ("b1", "c1"), ("b2", "c2"), ("b2.u", "c2.x"), ("b2.w", "c2.z")} <= pairs
    assert len(left) == 1
    assert left < {"b1.u", "b1.v", "b1.w"}


KINDS = ["Linear", "ReLU", "LayerNorm", "Mine", "LSTM"]


@st.composite
def grouped(draw: st.DrawFn, count: int) -> list[list[int]]:
    """Routes of `count` leaves as indexes: somehow cut into groups, some of these into groups."""

    def cut(indexes: list[int], prefix: list[int], depth: int) -> list[list[int]]:
        if depth == 0 or len(indexes) < 2 or draw(st.booleans()):
            return [[*prefix, at] for at in range(len(indexes))]
        ends = sorted(draw(st.sets(st.integers(1, len(indexes) - 1), max_size=3)))
        parts = [indexes[a:b] for a, b in zip([0, *ends], [*ends, len(indexes)], strict=True)]
        found = []
        for at, part in enumerate(parts):
            alone = len(part) == 1 and draw(st.booleans())
            found += [[*prefix, at]] if alone else cut(part, [*prefix, at], depth - 1)
        return found

    return cut(list(range(count)), [], 3)


NAMINGS: dict[str, Callable[[str, int, int], str]] = {
    "index": lambda kind, at, count: str(at),
    "a": lambda kind, at, count: f"a{at}",
    "b": lambda kind, at, count: f"b{at}",
    "kind": lambda kind, at, count: f"{kind.lower()}{count or ''}",
}


def grouped_net(
    routes_: list[list[int]], kinds: list[str], naming: str
) -> tuple[LayerTree, list[str]]:
    """The leaves of those routes in sequences, and each leaf's route in words."""
    leaves: list[str] = []

    def build(low: int, high: int, depth: int, prefix: str) -> list[Node]:
        nodes: list[Node] = []
        used: Counter[str] = Counter()
        at = low
        while at < high:
            single = len(routes_[at]) == depth + 1
            end = at + 1
            while not single and end < high and routes_[end][depth] == routes_[at][depth]:
                end += 1
            kind = kinds[at] if single else "Sequential"
            route = prefix + NAMINGS[naming](kind, len(nodes), used[kind])
            used[kind] += 1
            if single:
                leaves.append(route)
            inside = [] if single else build(at, end, depth + 1, f"{route}.")
            nodes.append(node(route, kind, *inside))
            at = end
        return nodes

    return net(*build(0, len(kinds), 0, "")), leaves


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=12),
    st.sampled_from([("index", "index"), ("a", "b"), ("kind", "kind"), ("kind", "a")]),
)
def test_however_layers_are_grouped_each_finds_its_twin(
    data: st.DataObject, kinds: list[str], namings: tuple[str, str]
) -> None:
    """Whatever they are called: a name that another layer has got speaks for nothing."""
    base, ours = grouped_net(data.draw(grouped(len(kinds))), kinds, namings[0])
    raw, theirs = grouped_net(data.draw(grouped(len(kinds))), kinds, namings[1])
    pairs, _, _ = routes(base, raw)
    assert set(zip(ours, theirs, strict=True)) <= pairs


def test_another_layer_that_has_got_the_name_is_no_partner() -> None:
    base = net(node("s", "Sequential", node("s.conv", "Conv2d")), node("conv", "Conv2d"))
    raw = net(node("conv", "Conv2d"), node("t", "Sequential", node("t.conv", "Conv2d")))
    pairs, _, _ = routes(base, raw)
    assert {("s.conv", "conv"), ("conv", "t.conv")} <= pairs


def test_a_layer_of_another_width_goes_with_its_namesake() -> None:
    base = net(node("up", "Linear", shape=(2, 8)), node("down", "Linear"), node("act", "ReLU"))
    raw = net(node("up", "Linear", shape=(2, 9)), node("down", "Linear"), node("act", "ReLU"))
    assert routes(base, raw)[0] == {("up", "up"), ("down", "down"), ("act", "act")}


class Cut(torch.nn.Module):
    """Eight layers, in as many sequences as there are `sizes`."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = [torch.nn.Linear(3, 3) if at % 2 else torch.nn.GELU() for at in range(8)]
        self.names = [f"s{len(sizes)}{at}" for at in range(len(sizes))]
        for name, size in zip(self.names, sizes, strict=True):
            self.add_module(name, torch.nn.Sequential(*layers[:size]))
            del layers[:size]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.names:
            x = getattr(self, name)(x)
        return x


def test_recorded_runs_of_groups_that_are_cut_differently_are_aligned(tmp_path: Path) -> None:
    for at, sizes in enumerate([(8,), (3, 5), (5, 2, 1)]):
        model = create_model(Cut(*sizes), name="Cut")
        model.backward(model(torch.linspace(-1, 1, 6).reshape(2, 3)).square().sum())
        model.try_dump(dir_path=str(tmp_path / str(at)))
    for base, raw in ((0, 1), (1, 2), (2, 0)):
        comparison = compare(tmp_path / str(base), tmp_path / str(raw), mode="strict", atol=0)
        assert comparison.aligned
        assert {item.kind for item in comparison.unmatched} == {"layer"}
        assert comparison.totals.identical == comparison.totals.compared > 30


def test_the_layer_map_goes_before_all_else() -> None:
    base = net(node("a", "Linear"), node("b", "Linear"), node("c", "ReLU"))
    raw = net(node("a", "Linear"), node("b", "Linear"), node("x", "Mine"))
    assert routes(base, raw, ["a", "c"], ["b", "x"])[0] == {("a", "b"), ("c", "x"), ("b", "a")}


def test_the_layer_map_pairs_call_by_call_across_levels() -> None:
    base = net(node("cell", "Cell"), node("cell", "Cell", call=1))
    raw = net(node("part", "Part", node("part.step", "Step"), node("part.step", "Step", call=1)))
    pairs, left, right = routes(base, raw, ["cell"], ["part.step"])
    assert pairs == {("cell", "part.step"), ("cell~1", "part.step~1")}
    assert (left, right) == (set(), {"part"})


def test_a_layer_map_on_one_side_is_no_map() -> None:
    tree = net(node("a", "Linear"))
    assert routes(tree, tree, ["a"])[0] == same("a")


def test_layer_maps_of_two_lengths_are_an_error_that_names_both() -> None:
    tree = net(node("a", "Linear"), node("b", "Linear"))
    with pytest.raises(FormatError, match=r"2 layers in that of base \(a, b\) and 1 .*\(b\)"):
        routes(tree, tree, ["a", "b"], ["b"])


def test_models_called_a_different_number_of_times() -> None:
    base = LayerTree(tuple(node("", "Net", call=call) for call in range(3)))
    raw = LayerTree(tuple(node("", "Net", call=call) for call in range(2)))
    matching = match_trees(base, raw)
    assert [(a.call, b.call) for a, b in matching.pairs] == [(0, 0), (1, 1)]
    assert [left.call for left in matching.base_only] == [2]


def test_empty_trees() -> None:
    matching = match_trees(LayerTree(), LayerTree())
    assert (matching.pairs, matching.base_only, matching.raw_only) == ((), (), ())


@pytest.mark.parametrize(
    ("base", "raw", "score"),
    [
        ("Conv2d", "Conv2D", 2),
        ("ConvTranspose2d", "Conv2DTranspose", 2),
        ("MultiheadAttention", "MultiHeadAttention", 2),
        ("RNN", "SimpleRNN", 2),
        ("ReLU", "GELU", 1),
        ("ReLU", "Linear", None),
        ("BatchNorm2d", "Conv2D", None),
        ("Mine", "Linear", 0),
    ],
)
def test_what_is_known_of_classes(base: str, raw: str, score: float | None) -> None:
    assert class_score(base, raw) == class_score(raw, base) == score


def flat(count: int, prefix: str, skip: frozenset[int] = frozenset()) -> LayerTree:
    names = ("Linear", "ReLU", "LayerNorm")
    return net(
        *(node(f"{prefix}{n}", names[n % 3], shape=(n % 7,)) for n in range(count) if n not in skip)
    )


@pytest.mark.parametrize("prefix", ["l", "m", ""])
def test_ten_thousand_layers_take_seconds(prefix: str) -> None:
    base = flat(10_000, "l" if prefix else "")
    raw = flat(10_000, prefix, frozenset({500, 501, 7_000}))
    start = time.process_time()  # whatever else the machine does
    pairs, left, right = routes(base, raw)
    assert time.process_time() - start < 10
    assert len(pairs) == 9_997
    assert (len(left), len(right)) == (3, 0)
    if prefix == "l":
        assert left == {"l500", "l501", "l7000"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["Linear", "ReLU", "Mine", "LayerNorm"]), max_size=12),
    st.lists(st.sampled_from(["Linear", "ReLU", "Mine", "LayerNorm"]), max_size=12),
    st.booleans(),
)
def test_every_node_is_placed_once_and_no_known_difference_paired(
    base: list[str], raw: list[str], numbered: bool
) -> None:
    word = "" if numbered else "x"
    left = net(*(node(f"{word}{n}", kind) for n, kind in enumerate(base)))
    right = net(*(node(f"{word}{n}", kind) for n, kind in enumerate(raw)))
    routes(left, right)
    for a, b in match_trees(left, right).pairs:
        assert class_score(a.name, b.name) is not None
    swapped = match_trees(right, left)
    assert len(swapped.pairs) == len(match_trees(left, right).pairs)


def names(found: tuple[tuple[TensorRecord, TensorRecord], ...]) -> list[tuple[str, str]]:
    return [(a.place, b.place) for a, b in found]


def test_tensors_pair_by_phase_and_place() -> None:
    base = [tensor("0"), tensor("1"), tensor("0", phase="backward")]
    raw = [tensor("0", phase="backward"), tensor("1"), tensor("0")]
    matching = match_tensors(base, raw)
    assert names(matching.pairs) == [("0", "0"), ("1", "1"), ("0", "0")]
    assert all(a.phase == b.phase for a, b in matching.pairs)


def test_a_dict_on_one_side_and_a_tuple_on_the_other() -> None:
    base = [tensor("logits", (2, 3)), tensor("hidden", (4,))]
    matching = match_tensors(base, [tensor("0", (2, 3)), tensor("1", (4,))])
    assert names(matching.pairs) == [("logits", "0"), ("hidden", "1")]


def test_what_one_side_returns_more_is_alone() -> None:
    matching = match_tensors([tensor("0"), tensor("1", (9,))], [tensor("0")])
    assert names(matching.pairs) == [("0", "0")]
    assert [left.place for left in matching.base_only] == ["1"]


def test_left_overs_of_other_shapes_are_alone() -> None:
    base = [tensor("a", (1,)), tensor("b", (2,))]
    matching = match_tensors(base, [tensor("x", (1,)), tensor("y", (3,))])
    assert not matching.pairs
    assert (len(matching.base_only), len(matching.raw_only)) == (2, 2)


def test_lone_outputs_pair_whatever_their_shape() -> None:
    assert names(match_tensors([tensor("0", (1,))], [tensor("out", (3,))]).pairs) == [("0", "out")]


def test_a_gradient_goes_with_that_of_the_same_input() -> None:
    def paired(places: str, others: str, inputs: dict[str, str]) -> list[tuple[str, str]]:
        base, raw = ([tensor(p, phase="backward") for p in side] for side in (places, others))
        return names(match_tensors(base, raw, inputs).pairs)

    assert paired("01", "yx", {"0": "x", "1": "y"}) == [("0", "x"), ("1", "y")]
    assert paired("1", "xy", {"0": "x", "1": "y"}) == [("1", "y")]
    assert paired("0", "x", {"0": "y"}) == []
    assert paired("0", "x", {"1": "x"}) == []
    assert paired("0", "x", {"1": "y"}) == [("0", "x")]


def test_parameters_pair_by_name_then_by_case_then_by_shape() -> None:
    base = [tensor(n, s, None) for n, s in (("weight", (2, 3)), ("Bias", (3,)), ("scale", (7,)))]
    raw = [tensor(n, s, None) for n, s in (("gain", (7,)), ("bias", (3,)), ("weight", (2, 3)))]
    matching = match_tensors(base, raw)
    assert names(matching.pairs) == [("weight", "weight"), ("Bias", "bias"), ("scale", "gain")]


def test_parameters_with_named_axes_pair_in_either_order() -> None:
    base = [tensor("kernel", (2, 3), None, ("out", "in")), tensor("other", (2, 3), None)]
    raw = [tensor("matrix", (3, 2), None, ("in", "out")), tensor("thing", (2, 3), None)]
    assert names(match_tensors(base, raw).pairs) == [("kernel", "matrix"), ("other", "thing")]
