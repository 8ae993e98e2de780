"""Settings shared by all tests: threads, figures without a screen, reproducible random examples."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

# Numba fixes the size of its pool when it is imported: room for the seven threads of the tests
# that compare thread counts. All other tests run on as many threads as there are cores.
POOL = 7
os.environ["NUMBA_NUM_THREADS"] = str(POOL)
os.environ["MPLBACKEND"] = "agg"
# Two processes of tests share the cores: threads that look for work would take them from each other.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import hypothesis
import numba
import numpy as np
import pytest

from recurrent_dynamics.kernels.tuning import tuning

hypothesis.settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
explore = hypothesis.settings(hypothesis.settings.get_profile("ci"), derandomize=False)
hypothesis.settings.register_profile("explore", explore)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

CORES = min(POOL, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.fixture(autouse=True)
def _one_thread_per_core() -> None:
    """Start every test on one thread per core, whatever the test before it chose."""
    numba.set_num_threads(CORES)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """Close the figures that pyplot knows: it warns of more than twenty, and any test may have imported it."""
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.fixture
def set_threads() -> Callable[[int], None]:
    """``set_threads(n)``: run what follows in this test on n threads, 1 <= n <= 7."""
    return numba.set_num_threads


@pytest.fixture
def tune() -> Iterator[Callable[..., object]]:
    """``tune(min_parallel_flops=0)``: plan what follows in this test by other thresholds."""
    with contextlib.ExitStack() as stack:
        yield lambda **changes: stack.enter_context(tuning(**changes))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the name of the test, so that no test depends on another."""
    return np.random.default_rng(list(request.node.nodeid.encode()))


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """The environment of a user's process, for tests that start one: without this file's settings."""
    return {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
