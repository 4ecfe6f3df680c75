"""Every row of the table: layers with the weights of one another compute the same."""

import itertools

import numpy as np
import pytest

from padiff import assign_weight
from padiff.layouts import LAYOUTS
from tests.weights.layers import CASES, Case, results, tensors_of
from tests.zoo import SIDES

PAIRINGS = list(itertools.product(SIDES, SIDES))
NAMES = [f"{case.kind} {case.name}".rstrip() for case in CASES]


def test_every_row_has_a_case() -> None:
    assert {case.kind for case in CASES} == {layout.kind for layout in LAYOUTS}


def assert_same(case: Case, base: str, raw: str, ours: object, theirs: object) -> None:
    for train in (False, True):
        expected = results(case, base, ours, train=train)
        found = results(case, raw, theirs, train=train)
        assert len(found) == len(expected) > 0
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("base", "raw"), PAIRINGS)
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_layers_with_one_set_of_weights_compute_the_same(case: Case, base: str, raw: str) -> None:
    ours, theirs = case.build(base, seed=1), case.build(raw, seed=2)
    if tensors_of(base, ours):
        with pytest.raises(AssertionError):
            assert_same(case, base, raw, ours, theirs)
    assert assign_weight(ours, theirs) is True
    assert_same(case, base, raw, ours, theirs)
