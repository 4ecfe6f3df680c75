"""One browser for all tests of a file, as to start one takes longer than most, and one page."""

from collections.abc import Iterator

import pytest

from padiff.comparing.comparison import Comparison
from tests.page.browsing import Browser, browser
from tests.page.runs import compared


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def quiet(tab: Browser) -> Iterator[None]:
    """Nothing is asked of the network or refused by the policy, and no error is thrown."""
    yield
    assert tab.said() == []
    assert tab.requests() == []
