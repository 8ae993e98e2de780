"""Optimizers, clipping, schedules, ravel: small functions with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import training
from recurrent_dynamics.training.tree import map_leaves, named_leaves, nest


def parameters(rng, dtype="float64"):
    return {
        "layer": {"W": rng.standard_normal((3, 2)).astype(dtype)},
        "b": rng.standard_normal(4).astype(dtype),
    }


def run(optimizer, params, gradients, rate=0.1):
    state = optimizer.init(params)
    for grads in gradients:
        updates, state = optimizer.update(grads, state, params, rate)
        params = training.apply_updates(params, updates)
    return params


CASES = {
    "sgd": (training.sgd(), "SGD", {}),
    "momentum": (training.sgd(momentum=0.9), "SGD", {"momentum": 0.9}),
    "nesterov": (training.sgd(momentum=0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (training.rmsprop(), "RMSprop", {}),
    "rmsprop of char-rnn": (training.rmsprop(decay=0.95), "RMSprop", {"alpha": 0.95}),
    "rmsprop with momentum": (training.rmsprop(momentum=0.5), "RMSprop", {"momentum": 0.5}),
    "adam": (training.adam(), "Adam", {}),
    "adamw": (training.adamw(weight_decay=0.1), "AdamW", {"weight_decay": 0.1}),
}


@pytest.mark.parametrize("name", CASES)
def test_optimizers_step_as_those_of_pytorch(name, rng):
    torch = pytest.importorskip("torch")
    optimizer, other, options = CASES[name]
    params = parameters(rng)
    gradients = [parameters(rng) for _ in range(6)]
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in named_leaves(params)}
    theirs = getattr(torch.optim, other)(tensors.values(), lr=0.1, **options)
    for grads in gradients:
        for key, gradient in named_leaves(grads):
            tensors[key].grad = torch.tensor(gradient)
        theirs.step()
    for key, value in named_leaves(run(optimizer, params, gradients)):
        np.testing.assert_allclose(value, tensors[key].detach().numpy(), rtol=1e-12, atol=1e-13)


def test_adam_by_its_equations(rng):
    params, gradients = {"w": np.zeros(3)}, [{"w": rng.standard_normal(3)} for _ in range(5)]
    w, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * g["w"]
        v = 0.999 * v + 0.001 * g["w"] ** 2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(run(training.adam(), params, gradients)["w"], w, rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_optimizers_are_pure_and_keep_the_dtype(name, rng):
    optimizer = CASES[name][0]
    params, grads = parameters(rng, "float32"), parameters(rng, "float32")
    copies = [dict(named_leaves(map_leaves(np.copy, t))) for t in (params, grads)]
    updates, state = optimizer.update(grads, optimizer.init(params), params, 0.1)
    kept = {k: v.copy() for k, v in named_leaves(state)}
    again, _ = optimizer.update(grads, state, params, 0.1)
    assert {a.dtype.name for _, a in (*named_leaves(updates), *named_leaves(again))} == {"float32"}
    for tree, copy in ((params, copies[0]), (grads, copies[1]), (state, kept)):
        for key, value in named_leaves(tree):
            np.testing.assert_array_equal(value, copy[key])


def test_decay_may_be_kept_to_the_matrices(rng):
    params = parameters(rng)
    zero = map_leaves(np.zeros_like, params)
    optimizer = training.adamw(weight_decay=0.5, only=lambda path, array: array.ndim > 1)
    after = run(optimizer, params, [zero])
    np.testing.assert_array_equal(after["b"], params["b"])
    np.testing.assert_allclose(after["layer"]["W"], params["layer"]["W"] * 0.95)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: training.sgd(momentum=1.0), "momentum"),
        (lambda: training.sgd(nesterov=True), "momentum"),
        (lambda: training.rmsprop(decay=-0.1), "decay"),
        (lambda: training.adam(eps=0), "eps"),
        (lambda: training.adamw(weight_decay=-1), "weight_decay"),
        (lambda: training.constant(0), "rate"),
        (lambda: training.exponential_decay(1, 2.0, 10), "factor"),
        (lambda: training.cosine(1, 10, final=2), "final"),
        (lambda: training.warmup(0.1, 0), "updates"),
        (lambda: training.clip_by_global_norm({"w": np.ones(1)}, 0), "max_norm"),
        (lambda: training.clip_by_value({"w": np.ones(1)}, -1), "limit"),
        (lambda: training.l2_penalty({"w": np.ones(1)}, -1), "strength"),
        (lambda: training.EarlyStopping(patience=0), "patience"),
        (lambda: training.EarlyStopping(min_delta=-1.0), "min_delta"),
    ],
)
def test_errors_name_the_argument(call, argument):
    with refused(argument, "be"):
        call()


@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_clipping_by_norm_keeps_the_direction(limit, seed):
    grads = parameters(np.random.default_rng(seed))
    clipped, norm = training.clip_by_global_norm(grads, limit)
    flat, after = rd.ravel(grads)[0], rd.ravel(clipped)[0]
    assert norm == pytest.approx(np.linalg.norm(flat))
    np.testing.assert_allclose(after, flat * min(1, limit / norm), rtol=1e-12)


def test_norms_beyond_the_range_of_float32():
    grads = {"w": np.full(4, 1e30, np.float32)}
    clipped, norm = training.clip_by_global_norm(grads, 1.0)
    assert norm == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_allclose(clipped["w"], 0.5, rtol=1e-6)


def test_the_decay_of_char_rnn():
    schedule = training.exponential_decay(2e-3, 0.97, updates_per_epoch=10, start_epoch=10)
    rates = np.array([schedule(n) for n in range(130)])
    assert (rates[:100] == 2e-3).all()
    np.testing.assert_allclose(rates[100:110], 2e-3 * 0.97)
    np.testing.assert_allclose(rates[110:120], 2e-3 * 0.97**2)


def test_early_stopping_needs_a_real_improvement():
    rule = training.EarlyStopping(patience=2, min_delta=0.1)
    assert not rule.should_stop([3, 2, 1.95])
    assert rule.should_stop([3, 2, 1.95, 1.91])
    assert not rule.should_stop([3, 2, 1.95, 1.8])
    assert rule.should_stop([1.0, float("nan"), float("nan")])


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=5), st.sampled_from(["float32", "float64"]))
def test_ravel_and_back(shapes, dtype):
    rng = np.random.default_rng(0)
    tree = {str(i): rng.standard_normal(s).astype(dtype) for i, s in enumerate(shapes)}
    tree |= {"inner": {"w": rng.standard_normal((2, 2)).astype(dtype).T}}
    vector, unravel = rd.ravel(tree)
    back = unravel(vector)
    assert list(back) == list(tree)
    assert vector.dtype == dtype
    for key, value in named_leaves(tree):
        other = dict(named_leaves(back))[key]
        np.testing.assert_array_equal(other, value)
        assert other.dtype == value.dtype
    vector[:] = 0
    np.testing.assert_array_equal(back["inner"]["w"], tree["inner"]["w"])


def test_ravel_refuses_what_it_cannot_take_back():
    with refused(wrong_type("tree", "one dtype")):
        rd.ravel({"a": np.zeros(1), "b": np.zeros(1, "float32")})
    with refused(wrong_type("tree", came="int64 at inner/n")):
        rd.ravel({"inner": {"n": np.zeros(1, np.int64)}})
    vector, unravel = rd.ravel({"a": np.zeros((2, 2))})
    with refused("vector", "(4,)", "(3,)"):
        unravel(vector[:3])


def test_names_of_leaves_go_there_and_back(rng):
    tree = parameters(rng)
    assert list(dict(named_leaves(tree))) == ["layer/W", "b"]
    assert rd.ravel(nest(dict(named_leaves(tree))))[0].tolist() == rd.ravel(tree)[0].tolist()
    with refused("params", "slash"):
        dict(named_leaves({"a/b": np.zeros(1)}))
    with refused("nested dicts", "same keys"):
        map_leaves(np.add, {"a": np.zeros(1)}, {"b": np.zeros(1)})


@pytest.mark.parametrize("method", ["L-BFGS-B", "CG", "Nelder-Mead"])
def test_scipy_minimizes(method):
    target = {"inner": {"w": np.array([1.0, -2.0])}, "b": np.array([0.5])}

    def loss_and_grad(params):
        error = map_leaves(np.subtract, params, target)
        flat = rd.ravel(error)[0]
        return float(flat @ flat), map_leaves(lambda e: 2 * e, error)

    start = map_leaves(np.zeros_like, target)
    best, result = training.minimize(loss_and_grad, start, method=method, tol=1e-9)
    assert result.success
    np.testing.assert_allclose(rd.ravel(best)[0], rd.ravel(target)[0], atol=1e-4)
    assert (rd.ravel(start)[0] == 0).all()
