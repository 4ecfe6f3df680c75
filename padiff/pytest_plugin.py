"""The pytest plugin: the fixture `padiff_golden` and the option `--padiff-update`.

pytest loads this at each start, whether or not a test asks for it: nothing else is loaded here.
"""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from padiff.golden import Golden

__all__ = [
    "padiff_golden",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
]

_GOLDEN = pytest.StashKey["Golden"]()
_DIRECTORY = "golden"
_UPDATE = "--padiff-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--padiff-update`."""
    parser.getgroup("padiff").addoption(
        _UPDATE,
        action="store_true",
        help="record golden stores that are missing, and replace those that do not agree",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have what is updated told at the end."""
    if config.getoption(_UPDATE):
        config.pluginmanager.register(_Updates(config), "padiff-updates")


@pytest.fixture
def padiff_golden(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[Golden]":
    """Holds models to what they did when their golden stores were recorded.

    `padiff_golden.model(net)` is called in the model's place, `padiff_golden.check()` compares.
    """
    from padiff.golden import Golden, Place

    item = request.node
    golden = Golden(
        Place(_directory_of(item), _name_of(item)),
        tmp_path / "padiff",
        update=request.config.getoption(_UPDATE),
        home=request.config.invocation_params.dir,
    )
    item.stash[_GOLDEN] = golden
    yield golden
    golden.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Check what the test did not check itself, if it got to its end."""
    result = yield
    golden = item.stash.get(_GOLDEN, None)
    if golden is not None and (failure := _failure_of(golden)):
        pytest.fail(failure, pytrace=False)  # there is no line of the test to show
    return result


def _failure_of(golden: "Golden") -> str:
    """What the last check finds, if it is not as it should be."""
    from padiff.errors import PadiffError

    try:
        golden.finish()
    except (AssertionError, PadiffError) as error:
        return "\n".join([str(error), *getattr(error, "__notes__", ())])
    return ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what was compared, which `pytest -rP` shows of tests that pass."""
    report = yield
    golden = item.stash.get(_GOLDEN, None)
    if golden is not None and report.when == "call":
        report.sections += [("padiff", text) for text in golden.texts]
    return report


def _directory_of(item: pytest.Item) -> Path:
    return item.path.parent / _DIRECTORY / item.path.stem


def _name_of(item: pytest.Item) -> str:
    """The test's name with its classes, and its parameters, as in `TestNet.test_step[relu]`."""
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return ".".join([*classes, item.name])


class _Updates:
    """Tells which golden stores were written, and which are of no test, at the end of the run.

    Where several processes run the tests, each notes what it did in its reports, and the one that
    collects these tells it.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._partial = any("::" in arg for arg in config.args) or config.getoption("lf", False)
        self._deselected: list[pytest.Item] = []
        self._seen: set[Path] = set()
        self._told: set[tuple[str, str, str]] = set()  # a store, what of it, and why

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._deselected += items

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note in the report, which other processes get, what became of golden stores."""
        report = yield
        golden = item.stash.get(_GOLDEN, None)
        if golden is None or report.when != "call":
            return report
        told: list[tuple[str, str, str]] = [
            (golden.shown(update.store), update.done, update.reason)
            for update in golden.updates.values()
        ]
        unused = [*(golden.unused() if report.passed else ()), *self._unknown(item)]
        told += [(golden.shown(path), "unused", "remove it if its test is gone") for path in unused]
        vars(report)["padiff_golden"] = told
        return report

    def _unknown(self, item: pytest.Item) -> set[Path]:
        """Stores beside this test's that are of no test, or of no module; once for each place."""
        from padiff.golden import SUFFIX, unknown_stores

        directory = _directory_of(item)
        found: set[Path] = set()
        if directory not in self._seen and not self._partial:
            items = [*item.session.items, *self._deselected]
            tests = [_name_of(each) for each in items if each.path == item.path]
            found.update(unknown_stores(directory, tests))
        if directory.parent not in self._seen:
            for path in directory.parent.glob(f"*/*{SUFFIX}"):
                if not (item.path.parent / f"{path.parent.name}.py").exists():
                    found.add(path)
        self._seen |= {directory, directory.parent}
        return found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._told.update(map(tuple, getattr(report, "padiff_golden", ())))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("padiff golden stores")
        kept = [store for store, done, _ in self._told if done == "kept"]
        for store, done, reason in sorted(self._told):
            if done != "kept":
                terminalreporter.line(f"{done:<8}  {store}{f': {reason}' if reason else ''}")
        terminalreporter.line(f"agree and stay as they are: {len(kept)}")
