"""A directory for tests that pytest runs in a process of its own, with the plugin."""

import pytest

from tests.plugin.loading import ALONE


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty directory, for a pytest with this plugin alone."""
    for name, value in {**ALONE, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    return pytester
