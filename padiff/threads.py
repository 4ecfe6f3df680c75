"""How many threads work at once."""

import os

from padiff.errors import UsageError

__all__ = ["check_jobs"]

_MOST_JOBS = 256  # more than any machine has processors for; each maps two chunks


def check_jobs(jobs: int | None) -> int:
    """`jobs` itself, or one a processor where it is None; UsageError for what is no such number."""
    if jobs is None:
        return os.cpu_count() or 1
    if type(jobs) is not int or not 1 <= jobs <= _MOST_JOBS:
        raise UsageError(f"expected at least 1 job and at most {_MOST_JOBS}, got {jobs!r}")
    return jobs
