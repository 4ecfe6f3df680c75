"""Programs of others that some tests run."""

import os
import shutil

import pytest

__all__ = ["need"]


def need(*programs: str) -> None:
    """Skip the test where one of these is not installed; where everything must run it fails."""
    for program in programs:
        if shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"expected {program} to be installed where CI is set")
            pytest.skip(f"{program} is not installed")
