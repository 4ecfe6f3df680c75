"""What holds for all readers."""

from importlib.metadata import entry_points

import pytest

GROUPS = {
    "zarr.data_type": {
        *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    },
    "zarr.buffer": {"padiff"},
}


@pytest.fixture(scope="session")
def entries() -> None:
    """Fail where padiff was installed before it had the entry points of its `pyproject.toml`."""
    for group, expected in GROUPS.items():
        ours = {e.name for e in entry_points(group=group) if e.value.startswith("padiff.")}
        assert ours == expected, f"no such entry points of {group}: pip install -e '.[dev]' anew"
