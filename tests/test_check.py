"""check_report, check_params, check_weights and check_grads: plain answers, and what they log."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padiff import check_grads, check_params, check_report, check_weights
from padiff.store.format import SectionName
from padiff.tree import Frame
from tests.stores import Layer, write_dump

Check = Callable[..., bool]
CHECKS: dict[SectionName, Check] = {
    "report": check_report,
    "params": check_params,
    "weights": check_weights,
    "grads": check_grads,
}
Y = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)


def net(off: float = 0) -> Layer:
    line = Frame("train.py", 12, "forward", "x = self.fc(x)")
    fc = Layer(
        "fc",
        "Linear",
        out=Y + off,
        back=Y,
        weights={"weight": Y + off},
        grads={"weight": Y + off},
        stack=[line],
    )
    return Layer("", "Net", out=Y, children=[fc])


def dumps(tmp_path: Path, off: float, *sections: SectionName) -> tuple[Path, Path]:
    for section in sections:
        write_dump(tmp_path / "base", net(), section=section)
        write_dump(tmp_path / "raw", net(off), section=section)
    return tmp_path / "base", tmp_path / "raw"


@pytest.mark.parametrize("section", CHECKS)
def test_the_answer_is_true_or_false(
    tmp_path: Path, section: SectionName, capsys: pytest.CaptureFixture[str]
) -> None:
    assert CHECKS[section](*dumps(tmp_path, 0, section)) is True
    assert f"check_{section}: SUCCESS" in capsys.readouterr().out
    assert CHECKS[section](*dumps(tmp_path, 0.5, section)) is False
    assert f"check_{section}: FAILED" in capsys.readouterr().out


@pytest.mark.parametrize("section", CHECKS)
def test_each_compares_its_own_section_alone(tmp_path: Path, section: SectionName) -> None:
    others = [name for name in CHECKS if name != section]
    dumps(tmp_path, 0.5, *others)
    assert CHECKS[section](*dumps(tmp_path, 0, section)) is True


def test_the_log_names_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_report(*dumps(tmp_path, 0.5, "report"))
    log = capsys.readouterr().out
    for words in (
        "Forward stage",
        "fc  Linear  float32 [3, 4]",
        "max abs 0.5",
        "fc (Linear)  <---  *** HERE ***",
        "train.py:12 in forward: x = self.fc(x)",
    ):
        assert words in log
    check_grads(*dumps(tmp_path, 0.5, "grads"))
    assert "Gradients, gradient of weight" in capsys.readouterr().out


def test_every_step_is_checked(tmp_path: Path) -> None:
    for step in (2, 10):
        write_dump(tmp_path / "base", net(), step=step)
        write_dump(tmp_path / "raw", net(0.5 * (step == 10)), step=step)
    assert check_report(tmp_path / "base", tmp_path / "raw") is False


def test_tolerances_of_one_call_are_not_those_of_the_next(tmp_path: Path) -> None:
    locations = dumps(tmp_path, 0.5, "report")
    cfg = {"atol": 1.0, "rtol": 0, "compare_mode": "strict"}
    before = copy.deepcopy(cfg)
    assert check_report(*locations, cfg) is True
    assert cfg == before
    assert check_report(*locations) is False
    assert check_report(*locations, {}) is False


def test_both_modes(tmp_path: Path) -> None:
    one = np.zeros(1000, np.float32)
    off = one.copy()
    off[3] = 0.01
    base, raw = (
        write_dump(tmp_path / name, Layer("", "N", out=out))
        for name, out in (("base", one), ("raw", off))
    )
    assert check_report(base, raw, {"compare_mode": "mean"}) is True
    assert check_report(base, raw, {"compare_mode": "strict"}) is False


@pytest.mark.parametrize(
    ("cfg", "words"),
    [
        ({"tol": 1}, "atol, rtol, compare_mode, got tol"),
        ({"atol": -1}, "atol to be a finite number >= 0"),
        ({"rtol": "1"}, "rtol to be a finite number >= 0"),
        ({"compare_mode": "max"}, "mean or strict, got 'max'"),
        (5, "cfg to be a dict of atol, rtol, compare_mode, got 5: leave it out"),
        ([1], r"cfg to be a dict of .*, got \[1\]"),
        ([], r"cfg to be a dict of .*, got \[\]"),
        ("atol", "cfg to be a dict of .*, got 'atol'"),
    ],
)
def test_a_wrong_configuration_is_an_error(tmp_path: Path, cfg: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_report(*dumps(tmp_path, 0, "report"), cfg)


@pytest.mark.parametrize("location", [None, 5, b"base"])
def test_what_is_no_path_is_an_error(tmp_path: Path, location: Any) -> None:
    base, raw = dumps(tmp_path, 0, "report")
    with pytest.raises(ValueError, match=r"path of a padiff store for base, got "):
        check_report(location, raw)
    with pytest.raises(ValueError, match=r"path of a padiff store for raw, got "):
        check_report(base, location)


def test_a_missing_section_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected params in both"):
        check_params(*dumps(tmp_path, 0, "report"))
