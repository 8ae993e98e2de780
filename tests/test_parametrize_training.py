"""Models whose recurrent matrices are made from free parameters, and optimizers that keep them orthogonal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.training.tree import map_leaves, named_leaves

p = rd.parametrize


def model_of(made: Any, cell: str = "elman", **options: Any) -> rd.nn.Model:
    return rd.nn.Model(getattr(rd.cells, cell)(), 4, vocabulary_size=5, parametrize=made, **options)


def batch_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    text = rng.integers(0, 5, (7, 3))
    return text[:-1].copy(), text[1:].copy()


@pytest.mark.parametrize("name", p.NAMED)
def test_gradient_of_a_model_by_its_free_parameters(name: str, rng: np.random.Generator) -> None:
    model, batch = model_of(p.NAMED[name]), batch_of(rng)
    params = map_leaves(lambda a: a + 0.1 * rng.standard_normal(a.shape), model.init(rng=1, dtype="float64"))
    vector, unravel = rd.ravel(params)
    by = rng.standard_normal(vector.size)
    if name == "trivialization":
        start, _ = rd.ravel(map_leaves(np.zeros_like, params))
        free = unravel(start)
        free["layers"]["0"]["U"]["base"][:] = 1
        by[rd.ravel(free)[0] == 1] = 0  # the base is no parameter
    came = rd.ravel(model.loss_and_grad(params, batch)[1])[0] @ by
    up, down = (model.loss(unravel(vector + q * by), batch) for q in (1e-5, -1e-5))
    assert came == pytest.approx((up - down) / 2e-5, rel=1e-7, abs=1e-9)


def test_rows_of_one_drive(rng: np.random.Generator) -> None:
    model, batch = model_of({"U.n": p.cayley}, "gru"), batch_of(rng)
    params = model.init(rng=1, dtype="float64")
    free = params["layers"]["0"]["U"]
    assert {drive: a.shape for drive, a in free.items()} == {"r": (4, 4), "z": (4, 4), "n": (6,)}
    (weights,) = model.cell_params(params)
    np.testing.assert_array_equal(weights["U"][:8], np.concatenate([free["r"], free["z"]]))
    assert p.cayley.check(weights["U"][8:]) < 1e-14
    vector, unravel = rd.ravel(params)
    by = rng.standard_normal(vector.size)
    came = rd.ravel(model.loss_and_grad(params, batch)[1])[0] @ by
    up, down = (model.loss(unravel(vector + q * by), batch) for q in (1e-5, -1e-5))
    assert came == pytest.approx((up - down) / 2e-5, rel=1e-7)


def test_without_a_constraint_nothing_changes(rng: np.random.Generator) -> None:
    plain = rd.nn.Model(rd.cells.elman(), 4, vocabulary_size=5)
    other = model_of({})
    assert repr(plain) == repr(other) == "Model(5 classes -> elman 4 -> 5, cross_entropy)"
    batch = batch_of(rng)
    for a, b in zip(rd.ravel(plain.init(rng=3)), rd.ravel(other.init(rng=3)), strict=True):
        assert callable(a) or np.array_equal(a, b)
    loss, grads = plain.loss_and_grad(plain.init(rng=3), batch)
    assert loss == other.loss(other.init(rng=3), batch)
    assert grads["layers"]["0"]["U"].shape == (4, 4)


def test_a_choice_for_each_layer() -> None:
    cells = [rd.cells.elman(), rd.cells.elman()]
    model = rd.nn.Model(cells, 4, vocabulary_size=5, parametrize=[None, p.Cayley(initial="henaff")])
    shapes = {path: a.shape for path, a in named_leaves(model.init()["layers"])}
    assert shapes["0/U"] == (4, 4)
    assert shapes["1/U"] == (6,)
    assert "elman 4, elman 4 (U by Cayley(initial='henaff'" in repr(model)


def test_a_cell_may_ask_for_its_matrix(rng: np.random.Generator) -> None:
    def update(drive):
        return {"h": drive.n}

    cell = rd.cells.Cell("of rotations", ("h",), ("n",), update, parametrize={"U": p.cayley})
    assert p.cayley.check(cell.init(2, 4, dtype="float64")["U"]) < 1e-14
    assert p.cayley.check(cell.init(2, 4, recurrent="glorot_normal")["U"]) > 0.1
    model = rd.nn.Model(cell, 4, vocabulary_size=5)
    assert model.init()["layers"]["0"]["U"].shape == (6,)
    assert rd.nn.Model(cell, 4, vocabulary_size=5, parametrize={}).init()["layers"]["0"]["U"].shape == (4, 4)
    with refused("structure", "'of rotations'"):
        cell.with_structure(rd.cells.DIAGONAL)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            p.cayley,
            Refusal(
                "parametrize",
                "make U of cell 'gru', of shape (12, 4)",
                ("Cayley", "r, z, n; name one, 'U.n'"),
            ),
        ),
        ({"V": p.cayley}, Refusal("parametrize", "name matrices of cell 'gru', U", "'V'")),
        ({"U.q": p.cayley}, Refusal("parametrize", "name drives of U of cell 'gru', r, z, n", "'U.q'")),
        ({"U": p.cayley, "U.n": p.cayley}, Refusal("parametrize", "whole or by drives", "'U' and 'U.n'")),
        ([p.cayley, p.cayley], Refusal("parametrize", "one for each of 1 layers", "2")),
    ],
)
def test_refused_choices(choice: Any, words: str) -> None:
    with refused(words):
        model_of(choice, "gru").init()
    with refused(wrong_type("parametrize", came="'cayley'")):
        model_of("cayley")


def test_refused_parameters() -> None:
    model = model_of({"U.n": p.cayley}, "gru")
    params = model.init()
    params["layers"]["0"]["U"] = np.zeros((12, 4), "float32")
    with refused("params['U']", "r, z, n"):
        model.cell_params(params)


def train(model: rd.nn.Model, **options: Any) -> Any:
    cycle = np.arange(13)[:, None] % 5
    options = {"optimizer": rd.training.adam(), "learning_rate": 0.02, "updates": 20} | options
    return rd.training.fit(model, model.init(rng=0), [(cycle[:-1], cycle[1:])], progress=False, **options)


def test_training_sampling_and_resuming(tmp_path: Any) -> None:
    model, path = model_of(p.exponential), tmp_path / "run.npz"
    whole = train(model)
    assert whole.history["loss"][-1] < 0.7 * whole.history["loss"][0]
    assert p.exponential.check(model.cell_params(whole.params)[0]["U"]) < 1e-5
    train(model, updates=8, checkpoint=path)
    resumed = train(model, checkpoint=path, resume=True)
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])
    with refused("params", came="others"):
        train(model_of(p.householder), checkpoint=path, resume=True)
    assert rd.nn.generate(model, whole.params, [0, 1], 6).shape == (6,)
    assert rd.training.evaluate(model, whole.params, [(np.zeros((3, 1), int), np.zeros((3, 1), int))]) > 0


OPTIMIZERS = {
    "gradient descent": rd.training.riemannian_sgd(),
    "momentum": rd.training.riemannian_sgd(momentum=0.9),
    "adam": rd.training.riemannian_adam(),
    "adam, polar": rd.training.riemannian_adam(retraction="polar"),
    "projected gradient descent": rd.training.projected(rd.training.sgd()),
    "gradient descent along geodesics": rd.training.rebased(rd.training.sgd(), every=1),
    "adam with a base": rd.training.rebased(rd.training.adamw(weight_decay=0.01), every=7),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_orthonormal_after_many_updates(name: str, rng: np.random.Generator) -> None:
    """Towards the matrix with orthonormal columns that is nearest to a target, which is known."""
    optimizer, target = OPTIMIZERS[name], rng.standard_normal((5, 5))
    target *= np.sign(np.linalg.det(target))
    wanted = p.polar(target)[0]
    based = "geodesics" in name or "base" in name
    made = p.Trivialization(initial="identity") if based else None
    params: Any = {"U": made.sample(5, rng, "float64") if made else np.eye(5), "b": np.ones(2)}
    state = optimizer.init(params)
    rate = 0.05 if "descent" in name else 0.01
    updates_done = 400 if based else 1000
    for n in range(updates_done):
        U, pull = made(params["U"]) if made else (params["U"], lambda d: d)
        rate = rate if n < 0.7 * updates_done else 0.99 * rate
        updates, state = optimizer.update({"U": pull(U - target), "b": params["b"]}, state, params, rate)
        params = rd.training.apply_updates(params, updates)
    U = made(params["U"])[0] if made else params["U"]
    assert p.polar.check(U) < 1e-12
    assert np.linalg.norm(U - wanted) < 0.02 * np.linalg.norm(np.eye(5) - wanted)
    assert np.abs(params["b"]).max() < 0.1


def test_a_step_on_the_manifold_by_its_equations(rng: np.random.Generator) -> None:
    U, G = np.linalg.qr(rng.standard_normal((6, 3)))[0], rng.standard_normal((6, 3))
    xi = G - U @ (U.T @ G + G.T @ U) / 2
    np.testing.assert_allclose(U.T @ xi + xi.T @ U, 0, atol=1e-14)
    q, r = np.linalg.qr(U - 0.1 * xi)
    wanted = {"qr": q * np.sign(np.diag(r)), "polar": p.polar(U - 0.1 * xi)[0]}
    for retraction, after in wanted.items():
        optimizer = rd.training.riemannian_sgd(retraction=retraction)
        updates, _ = optimizer.update({"U": G}, optimizer.init({"U": U}), {"U": U}, 0.1)
        np.testing.assert_allclose(U + updates["U"], after, atol=1e-14)
    optimizer = rd.training.riemannian_adam(eps=1e-12)
    updates, _ = optimizer.update({"U": G}, optimizer.init({"U": U}), {"U": U}, 0.1)
    q, r = np.linalg.qr(U - 0.1 * xi / np.sqrt((xi * xi).mean()))  # the first step has the length of the rate
    np.testing.assert_allclose(U + updates["U"], q * np.sign(np.diag(r)), atol=1e-9)


@pytest.mark.parametrize("optimizer", [rd.training.riemannian_adam(), rd.training.riemannian_sgd()])
def test_training_on_the_manifold_and_resuming(optimizer: Any, tmp_path: Any) -> None:
    model, path = model_of(None), tmp_path / "run.npz"
    with refused("layers/0/U", "orthonormal"):
        train(model, optimizer=optimizer)
    start = model.init(rng=0)
    start["layers"]["0"] = rd.cells.elman().init(4, 4, recurrent="orthogonal")
    cycle = np.arange(13)[:, None] % 5
    data = [(cycle[:-1].copy(), cycle[1:].copy())]
    options: Any = {"optimizer": optimizer, "learning_rate": 0.05, "progress": False}
    options |= {"clip_norm": 1.0}
    table = rd.nn.Model(rd.cells.elman(), 4, vocabulary_size=5, embedding_size=4)
    whole = rd.training.fit(table, start, data, updates=12, **options)
    U = whole.params["layers"]["0"]["U"]
    assert U.dtype == np.float32
    assert np.abs(U.T @ U - np.eye(4)).max() < 1e-5
    assert whole.history["loss"][-1] < whole.history["loss"][0]
    rd.training.fit(table, start, data, updates=5, checkpoint=path, **options)
    resumed = rd.training.fit(table, start, data, updates=12, checkpoint=path, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])


def test_penalty() -> None:
    strong = train(model_of(None), penalty=lambda q: rd.training.orthogonality_penalty(q, 10.0), updates=30)
    weak = train(model_of(None), updates=30)
    size = lambda result: p.orthogonality_penalty(result.params["layers"]["0"]["U"])[0]
    assert size(strong) < 0.2 * size(weak)


def test_bases_stay_between(rng: np.random.Generator) -> None:
    params = {"layers": {"0": {"U": p.trivialization.sample(4, rng, "float64")}}}
    optimizer = rd.training.rebased(rd.training.adam(), every=2)
    state = optimizer.init(params)
    grads = map_leaves(np.ones_like, params)
    first, state = optimizer.update(grads, state, params, 0.1)
    assert not first["layers"]["0"]["U"]["base"].any()
    after = rd.training.apply_updates(params, first)
    second, state = optimizer.update(grads, state, after, 0.1)
    last = rd.training.apply_updates(after, second)["layers"]["0"]["U"]
    assert not last["A"].any()
    assert p.trivialization.check(last["base"]) < 1e-15
    with refused("params", "trivialization"):
        optimizer.init({"U": np.eye(2)})
    with refused("only", came="none"):
        rd.training.riemannian_sgd().init({"W": np.eye(2)})
