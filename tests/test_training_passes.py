"""The compiled passes of training: as NumPy has them, for any number of threads, found again on disk."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from recurrent_dynamics import training
from recurrent_dynamics.engine import linear
from recurrent_dynamics.nn import cross_entropy
from recurrent_dynamics.training.optimizers import advance
from recurrent_dynamics.training.tree import map_leaves, named_leaves

THREADS = (1, 2, 3, 7)
ALWAYS, NEVER = 0, 1 << 60

OPTIMIZERS = {
    "sgd": training.sgd(),
    "momentum": training.sgd(momentum=0.9),
    "nesterov": training.sgd(momentum=0.9, nesterov=True),
    "rmsprop": training.rmsprop(),
    "rmsprop with momentum": training.rmsprop(momentum=0.5),
    "adamw": training.adamw(weight_decay=0.1, only=lambda path, array: array.ndim > 1),
}
QUICK = {("adamw", "float32")}
CASES = [
    pytest.param(name, dtype, marks=[] if (name, dtype) in QUICK else pytest.mark.full)
    for name in OPTIMIZERS
    for dtype in ("float32", "float64")
]


def tree(rng, dtype):
    """Leaves of several blocks, of less than one, of none, and one that is not contiguous."""
    return {
        "layer": {
            "W": rng.standard_normal((70, 65)).astype(dtype),
            "b": rng.standard_normal(3).astype(dtype),
        },
        "none": np.zeros((0, 4), dtype),
        "turned": rng.standard_normal((5, 7)).astype(dtype).T,
        "one": np.array(rng.standard_normal(), dtype),
    }


def updates(optimizer, dtype, rng, max_norm=np.inf):
    """What three updates leave."""
    params, norms = tree(rng, dtype), []
    state = optimizer.init(params)
    for _ in range(3):
        params, state, *last = advance(optimizer, tree(rng, dtype), state, params, 0.01, max_norm)
        norms += last
    return params, state, norms


def assert_close(left, right, dtype):
    for (key, a), (other, b) in zip(named_leaves(left), named_leaves(right), strict=True):
        assert (key, a.dtype, a.shape) == (other, b.dtype, b.shape)
        largest = np.abs(b).max(initial=0)
        np.testing.assert_allclose(a, b, rtol=0, atol=(1e-6 if dtype == "float32" else 1e-14) * largest)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_compiled_rules_are_those_of_numpy(name, dtype, rng, tune):
    seed, optimizer = rng.integers(1 << 30), OPTIMIZERS[name]
    came = []
    for small in (ALWAYS, NEVER):
        tune(min_compiled_update=small)
        came.append(updates(optimizer, dtype, np.random.default_rng(seed), max_norm=1.0))
    (params, state, norms), (by_numpy, state_by_numpy, norms_by_numpy) = came
    assert_close(params, by_numpy, dtype)
    assert_close(state, state_by_numpy, dtype)
    np.testing.assert_allclose(norms, norms_by_numpy, rtol=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("small", [ALWAYS, NEVER])
def test_one_pass_is_clipping_then_the_update_then_its_addition(small, rng, tune):
    tune(min_compiled_update=small)
    optimizer, params, grads = training.adam(), tree(rng, "float32"), tree(rng, "float32")
    kept = [map_leaves(np.copy, t) for t in (params, grads)]
    state = optimizer.init(params)
    after = advance(optimizer, grads, state, params, 0.01, max_norm=2.0)
    clipped, norm = training.clip_by_global_norm(grads, 2.0)
    steps, new = optimizer.update(clipped, state, params, 0.01)
    assert_close(after.params, training.apply_updates(params, steps), "float32")
    assert_close(after.state, new, "float32")
    assert after.norm == norm > 2
    assert after.length == pytest.approx(training.global_norm(steps), rel=1e-6)
    # An optimizer of one's own takes the other way.
    own = training.Optimizer(optimizer.init, lambda *a: optimizer.update(*a))
    other = advance(own, grads, state, params, 0.01, max_norm=2.0)
    assert_close(other.params, after.params, "float32")
    assert other.norm == after.norm
    assert other.length == pytest.approx(after.length, rel=1e-6)
    for now, before in zip((params, grads), kept, strict=True):
        for (_, a), (_, b) in zip(named_leaves(now), named_leaves(before), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wrapped", [False, True])
def test_nothing_is_done_by_a_gradient_that_is_not_finite(wrapped, rng):
    optimizer, params, grads = training.adam(), tree(rng, "float32"), tree(rng, "float32")
    if wrapped:
        optimizer = training.Optimizer(optimizer.init, lambda *a: pytest.fail("must not be asked"))
    grads["layer"]["b"][1] = np.nan
    state = optimizer.init(params)
    after = advance(optimizer, grads, state, params, 0.01, max_norm=1.0)
    assert np.isnan(after.norm)
    assert after.state is state
    assert after.params == params


def test_dtypes_of_their_own(rng, tune):
    """A tree of two dtypes, and a gradient of another one than its parameter, are what NumPy makes of them."""
    params = {
        "a": tree(rng, "float32"),
        "b": tree(rng, "float64"),
        "c": rng.standard_normal(9).astype("float32"),
    }
    grads = map_leaves(np.ones_like, params) | {"c": np.ones(9)}
    optimizer = training.adam()
    came = []
    for small in (ALWAYS, NEVER):
        tune(min_compiled_update=small)
        came.append(advance(optimizer, grads, optimizer.init(params), params, 0.01))
    assert_close(came[0].params, came[1].params, "float32")
    assert came[0].params["b"]["one"].dtype == came[0].params["c"].dtype == "float64"
    assert came[0].params["a"]["one"].dtype == "float32"
    assert came[0].norm == pytest.approx(came[1].norm, rel=1e-12)


def test_any_number_of_threads_gives_the_same_bits(rng, tune, set_threads):
    tune(min_parallel_flops=0, min_compiled_update=ALWAYS, min_compiled_copy=1)
    logits = rng.standard_normal((7, 19, 65)).astype("float32")
    targets, mask = rng.integers(0, 65, (7, 19)), rng.random((7, 19)) > 0.2
    optimizer, params, grads = OPTIMIZERS["adamw"], tree(rng, "float32"), tree(rng, "float32")
    state = optimizer.init(params)
    came = []
    for threads in THREADS:
        set_threads(threads)
        loss, gradient = cross_entropy(logits, targets, mask)
        after = advance(optimizer, grads, state, params, 0.01, max_norm=1.0)
        arrays = [a for t in (after.params, after.state) for _, a in named_leaves(t)]
        arrays += [linear.contiguous(logits[..., 3:20])]
        came.append((loss, after.norm, after.length, *(a.tobytes() for a in (gradient, *arrays))))
    assert all(results == came[0] for results in came)


@pytest.mark.parametrize(
    "cut", [np.s_[:, :, 1:4], np.s_[:, ::2], np.s_[::2, :, :3], np.s_[:, :, ::2], np.s_[::-1]]
)
def test_contiguous_copies(cut, rng, tune):
    tune(min_compiled_copy=1)
    x = rng.standard_normal((6, 4, 5)).astype("float32")[cut]
    copy = linear.contiguous(x)
    assert copy.flags.c_contiguous
    np.testing.assert_array_equal(copy, x)
    assert linear.contiguous(copy) is copy


TRAIN = """
import numpy as np
from recurrent_dynamics import training
from recurrent_dynamics.nn import cross_entropy, softmax
params = {"W": np.ones((200, 200), "float32")}
optimizer = training.adam()
after, state = optimizer.update(params, optimizer.init(params), params, 0.01)
training.global_norm(after), cross_entropy(np.zeros((2, 3), "float32"), [0, 1])
"""
FOUND = """
from recurrent_dynamics.training import compiled
for function in (compiled._advance, compiled._squares, softmax._cross_entropy):
    assert len(function.stats.cache_hits) == 1 and not function.stats.cache_misses, function
"""


def test_a_second_process_finds_the_passes_on_disk(clean_environment, tmp_path):
    """Not from the folder of the source, which would be imported instead of the installed package."""
    exec(TRAIN, {})
    command = [sys.executable, "-c", TRAIN + FOUND]
    done = subprocess.run(
        command, env=clean_environment, capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_a_linear_map_without_outputs_has_no_gradient():
    d_x, d_weights, d_bias = linear.linear_adjoint(np.ones((2, 3, 0)), np.ones((2, 3, 4)), np.ones((0, 4)))
    np.testing.assert_array_equal(d_x, np.zeros((2, 3, 4)))
    assert (d_weights.shape, d_bias.shape) == ((0, 4), (0,))
