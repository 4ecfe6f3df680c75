"""The command in a process whose clock is fast: what it shows after a second is soon seen."""

__all__ = ["SLOW"]

SLOW = """
import sys, time
from padiff.cli import output
start = time.monotonic()
time.monotonic = lambda: start + 300 * (time.perf_counter() - begin)
begin = time.perf_counter()
from padiff.cli import main
main()
"""
