"""A layer tree survives JSON, numbers that JSON lacks among it."""

import math
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from padiff.jsonio import decode, dumps
from padiff.tree import (
    Frame,
    LayerTree,
    Node,
    NodeType,
    Phase,
    TensorRecord,
    TensorStats,
    Unrecorded,
)

counts = st.integers(0, 2**60)
numbers = st.none() | st.floats(allow_nan=False)
texts = st.text(max_size=8)
phases = st.sampled_from(get_args(Phase))
tensors = st.builds(
    TensorRecord,
    array=texts,
    phase=st.none() | phases,
    place=texts,
    shape=st.lists(counts, max_size=3).map(tuple),
    dtype=texts,
    device=texts,
    order=counts,
    stats=st.builds(TensorStats, numbers, numbers, numbers, numbers, numbers, counts, counts),
    chunks=st.lists(texts, max_size=2).map(tuple),
    metadata=texts,
    dims=st.none() | st.lists(texts, max_size=2).map(tuple),
    tied=st.none() | texts,
    buffer=st.booleans(),
)
leaves = st.builds(
    Node,
    name=texts,
    route=texts,
    call=counts,
    order=counts,
    type=st.sampled_from(get_args(NodeType)),
    repr=texts,
    stack=st.lists(st.builds(Frame, texts, counts, texts, texts), max_size=1).map(tuple),
    tensors=st.lists(tensors, max_size=2).map(tuple),
    unrecorded=st.lists(st.builds(Unrecorded, st.none() | phases, texts, texts), max_size=1).map(
        tuple
    ),
    awaits=st.none() | st.dictionaries(texts, st.booleans(), max_size=2),
    origins=st.none() | st.dictionaries(texts, st.lists(texts, max_size=2).map(tuple), max_size=2),
    training=st.none() | st.booleans(),
)


@st.composite
def trees(draw: st.DrawFn) -> LayerTree:
    roots = []
    for leaf in draw(st.lists(leaves, max_size=2)):
        children = tuple(draw(st.lists(leaves, max_size=2)))
        roots.append(Node(leaf.name, leaf.route, leaf.call, leaf.order, children=children))
    return LayerTree(tuple(roots))


@given(trees())
def test_trees_survive_json(tree: LayerTree) -> None:
    text = dumps(tree.to_json()).encode()
    assert decode(text, tuple[Node, ...], "here") == tree.roots


def test_nan_survives_too() -> None:
    stats = TensorStats(math.nan, math.inf, -math.inf, None, 0.0, 1, 2)
    record = TensorRecord("a", None, "w", (), "float32", "cpu", 0, stats, (), "")
    text = dumps(LayerTree((Node("Net", "", 0, 0, tensors=(record,)),)).to_json())
    assert '"min":"NaN","max":"Infinity","mean":"-Infinity","mean_abs":null' in text
    (root,) = decode(text.encode(), tuple[Node, ...], "here")
    (read,) = root.tensors
    assert read.stats is not None
    assert math.isnan(read.stats.min or 0)


def test_walking_goes_parents_first_in_order() -> None:
    tree = LayerTree(
        (
            Node("a", "", 0, 0, children=(Node("b", "b", 0, 1), Node("c", "c", 0, 2))),
            Node("a", "", 1, 3),
        )
    )
    assert [node.name for node in tree.walk()] == ["a", "b", "c", "a"]
