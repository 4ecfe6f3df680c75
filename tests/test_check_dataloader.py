"""check_dataloader: batches of any nesting, and where two loaders part."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import pytest
import torch

from padiff import check_dataloader
from tests.zoo import SIDES

X = np.arange(24, dtype=np.float32).reshape(6, 4)
Y = np.arange(6)
Change = Callable[[int, dict[str, Any]], None]


class Rows(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, at: int) -> Any:
        return {"x": X[at], "y": Y[at]}


class PaddleRows(paddle.io.Dataset):  # type: ignore[misc]
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, at: int) -> Any:
        return {"x": X[at], "y": Y[at]}


@dataclass
class Batch:
    x: Any
    meta: Any


def batches(framework: str, change: Change | None = None) -> list[Any]:
    """Three batches of one framework, of all kinds of nesting, perhaps with a change."""
    found = []
    for at in range(3):
        held: dict[str, Any] = {
            "x": X[2 * at : 2 * at + 2].copy(),
            "name": f"sample {at}",
            "number": 0.5 * at,
            "none": None,
            "empty": [],
        }
        if change is not None:
            change(at, held)
        tensor = SIDES[framework].tensor
        held["x"] = tensor(held["x"])
        found.append((held, [Batch(tensor(Y[2 * at : 2 * at + 2]), {"deep": (held["x"],)})]))
    return found


def logged(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_real_loaders_of_both_frameworks(capsys: pytest.CaptureFixture[str]) -> None:
    base = torch.utils.data.DataLoader(Rows(), batch_size=4)
    raw = paddle.io.DataLoader(PaddleRows(), batch_size=4, num_workers=0)
    assert check_dataloader(base, raw, atol=0, compare_mode="strict") is True
    assert "4 values in 2 batches compared, none differ" in logged(capsys)
    order = [[1, 0, 2, 3], [4, 5]]
    shuffled = paddle.io.DataLoader(PaddleRows(), batch_sampler=order, num_workers=0)
    assert check_dataloader(base, shuffled, compare_mode="strict") is False
    out = logged(capsys)
    assert "batch 0: x: 8 of 16 elements are out of tolerance, max abs 4, worst at [0, 0]" in out
    assert "batch 0: y: 2 of 4" in out
    assert "batch 1" not in out
    assert out.endswith("check_dataloader: FAILED\n\n")


@pytest.mark.parametrize("base", SIDES)
@pytest.mark.parametrize("raw", SIDES)
def test_any_nesting(base: str, raw: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dataloader(batches(base), iter(batches(raw)), compare_mode="strict", atol=0)
    assert "21 values in 3 batches compared" in logged(capsys)


def set_to(key: str, value: Any) -> Change:
    def change(at: int, held: dict[str, Any]) -> None:
        if at == 1:
            held[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_to("x", X[2:4] + 0.5), "batch 1: 0.x: 8 of 8 elements are out of tolerance"),
        (set_to("x", X[2:4] + 0.5), "batch 1: 1.0.meta.deep.0: 8 of 8"),
        (set_to("x", X[:3]), "batch 1: 0.x: the shapes are [2, 4] and [3, 4]"),
        (set_to("x", np.where(X[2:4] == 9, np.float32("nan"), X[2:4])), "batch 1: 0.x: 1 of 8"),
        (set_to("name", "other"), "batch 1: 0.name: 'sample 1' in first, 'other' in second"),
        (set_to("number", 0.75), "batch 1: 0.number: 1 of 1 elements are out of tolerance"),
        (set_to("none", 1), "batch 1: 0.none: None in first, 1 in second"),
        (set_to("empty", [1]), "batch 1: first has 0.empty, second has not"),
        (set_to("more", 1), "batch 1: second has 0.more, first has not"),
    ],
)
def test_a_difference_is_said_with_its_place(
    change: Change, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_dataloader(batches("torch"), batches("paddle", change)) is False
    out = logged(capsys)
    assert said in out
    assert "batch 0" not in out
    assert "batch 2" not in out


def test_one_that_ends_earlier(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dataloader(batches("torch"), batches("paddle")[:2]) is False
    assert "second ends after 2 batches, first goes on" in logged(capsys)
    assert check_dataloader(batches("torch")[:1], batches("paddle")) is False
    assert "first ends after 1 batches, second goes on" in logged(capsys)


def test_the_tolerance_is_that_of_the_options() -> None:
    base, raw = [torch.ones(4)], [torch.ones(4) + torch.tensor([0, 0, 0, 0.01])]
    assert check_dataloader(base, raw, atol=0.005)
    assert not check_dataloader(base, raw, atol=0.005, compare_mode="strict")
    assert not check_dataloader(base, raw, atol=0.001)
    # options of one call are not those of the next
    assert not check_dataloader(base, raw)


def test_comparing_nothing_is_no_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dataloader([], []) is False
    assert "nothing to compare in 0 batches" in logged(capsys)


def test_other_options_and_no_loaders() -> None:
    with pytest.raises(ValueError, match="keys atol, rtol, compare_mode, got a_tol"):
        check_dataloader([], [], a_tol=1)
    with pytest.raises(TypeError, match="expected second to be a data loader"):
        check_dataloader([], 3)  # type: ignore[arg-type]


def test_an_error_of_the_loader_passes_through() -> None:
    def broken() -> Any:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        check_dataloader(broken(), [1, 2])


def test_keys_that_are_spelled_alike_are_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dataloader([{1: X, "1": X}], [{1: X, "1": X}])
    assert not check_dataloader([{1: X, "1": X}], [{1: X + 2, "1": X}])
    assert "batch 0: 1: 24 of 24 elements" in logged(capsys)
    assert not check_dataloader([{1: X}], [{"1": X}])
    assert "second has '1', first has not" in logged(capsys)


def test_two_types_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dataloader([{"x": X}] * 3, [{"x": X.astype(np.float64)}] * 3)
    assert logged(capsys).count("x: float32 and float64 compared by value") == 1
