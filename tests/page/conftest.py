"""One browser for all tests of a file: to start one takes longer than most of them."""

from collections.abc import Iterator

import pytest

from tests.page.browsing import Browser, browser


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened
