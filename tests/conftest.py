"""What holds for every test, in one process or in several side by side."""

import os

pytest_plugins = ["pytester"]  # for tests of the plugin, which run pytest

# With as many processes as there are processors, threads of each would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
