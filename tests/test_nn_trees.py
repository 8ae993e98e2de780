"""Models of trees: gradients, what is trained, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training

N, H = 3, 4


def forest():
    return rd.trees.forest([[-1, 0, 0, 2, 2], [1, -1], [-1]])


def a_problem(rng, at="roots", loss="cross_entropy", cell=None):
    trees = forest()
    cell = rd.trees.child_sum_lstm() if cell is None else cell
    model = nn.TreeModel(cell, H, 2, input_size=N, loss=loss, where=at)
    rows = trees.nodes if at == "nodes" else trees.trees
    targets = rng.integers(0, 2, rows) if loss == "cross_entropy" else rng.standard_normal((rows, 2))
    return (
        model,
        model.init(rng=1, dtype="float64"),
        ((trees, rng.standard_normal((trees.nodes, N))), targets),
    )


@pytest.mark.parametrize("at", ["roots", "nodes"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
@pytest.mark.parametrize("make", [rd.trees.child_sum_lstm, lambda: rd.trees.n_ary_lstm(2)])
def test_gradients_are_differences_of_the_loss(rng, at, loss, make):
    model, params, batch = a_problem(rng, at, loss, make())
    batch = (*batch, rng.uniform(0.5, 1, len(batch[1])))  # a mask
    value, grads = model.loss_and_grad(params, batch)
    assert value == pytest.approx(model.loss(params, batch))
    step = 1e-6
    for part, arrays in params.items():
        for name, a in arrays.items():
            u = rng.standard_normal(a.shape)
            values = [
                model.loss({**params, part: {**arrays, name: a + s * step * u}}, batch) for s in (1, -1)
            ]
            wanted = (values[0] - values[1]) / (2 * step)
            assert np.vdot(grads[part][name], u) == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def formulas(rng, count, depth):
    """Nested formulas of not, and, or, xor over 0 and 1: (forest, symbols, the value of each node)."""
    parents, symbols, values = [], [], []

    def grow(parent, left):
        node = len(parents)
        parents.append(parent)
        symbols.append(0)
        values.append(0)
        if left == 0 or rng.uniform() < 0.2:
            symbols[node] = values[node] = int(rng.integers(2))
            return values[node]
        kind = int(rng.integers(2, 6))
        first = grow(node, left - 1)
        second = grow(node, left - 1) if kind > 2 else 0
        value = (1 - first, first & second, first | second, first ^ second)[kind - 2]
        symbols[node], values[node] = kind, value
        return value

    for _ in range(count):
        grow(-1, depth)
    return rd.trees.forest(parents), np.array(symbols), np.array(values)


def test_formulas_are_learnt_and_larger_ones_evaluated(rng):
    trees, symbols, values = formulas(rng, 200, 3)
    model = nn.TreeModel(rd.trees.n_ary_lstm(2), 16, 2, vocabulary_size=6, where="nodes")
    batch = ((trees, symbols), values)
    result = training.fit(
        model, model.init(rng=0), [batch], optimizer="adam", learning_rate=0.02, updates=150, progress=False
    )
    assert training.measure(model, result.params, [batch], ["accuracy"])["accuracy"] > 0.99
    larger, symbols, values = formulas(rng, 100, 6)
    found = model.predict(result.params, (larger, symbols), "class")
    assert (found == values)[larger.roots].mean() > 0.9
    at_roots = nn.TreeModel(rd.trees.n_ary_lstm(2), 16, 2, vocabulary_size=6)
    assert np.array_equal(at_roots.predict(result.params, (larger, symbols), "class"), found[larger.roots])


def test_a_resumed_training_gives_the_same_bits(rng, tmp_path):
    model, params, batch = a_problem(rng)
    given = {"optimizer": "adam", "learning_rate": 0.01, "progress": False}
    whole = training.fit(model, params, [batch], updates=6, **given)
    file = tmp_path / "checkpoint.npz"
    training.fit(model, params, [batch], updates=3, checkpoint=file, **given)
    again = training.fit(model, params, [batch], updates=6, checkpoint=file, resume=True, **given)
    for part, arrays in whole.params.items():
        for name, a in arrays.items():
            assert np.array_equal(a, again.params[part][name])


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"batch": (3, [1])}, wrong_type("inputs", "(graph, x)", "int")),
        ({"batch": ((forest(), np.zeros(8, int)), [1, 1, 1])}, wrong_type("x", "real numbers", "int64")),
        ({"batch": ((forest(), np.zeros((8, N))), [1])}, Refusal("targets", "(3,)", "(1,)")),
        ({"params": {}}, Refusal("params", "'tree'", "nothing")),
        ({"params": None}, wrong_type("params", "nested", "NoneType")),
        ({"params": {"tree": {}, "readout": {}, "more": {}}}, Refusal("params", "tree and readout", "more")),
        ({"dropout_rng": 7}, wrong_type("dropout_rng", "generator", "7")),
        ({"batch": ((forest(), np.zeros((8, N))), [1, 1, 1], None, [1])}, Refusal("lengths", "None")),
    ],
)
def test_wrong_batches_are_named(rng, change, refusal):
    model, params, batch = a_problem(rng)
    with refused(refusal):
        model.loss_and_grad(**{"params": params, "batch": batch} | change)


def test_a_wrong_readout_is_named(rng):
    model, params, batch = a_problem(rng)
    for readout, refusal in (
        (None, Refusal("params['readout']", "weights and bias", "NoneType")),
        (
            {"weights": params["readout"]["weights"]},
            Refusal("params['readout']", "weights and bias", "weights"),
        ),
        (params["readout"] | {"bias": np.zeros(7)}, Refusal("params['readout']['bias']")),
    ):
        with refused(refusal):
            model.loss(params | {"readout": readout}, batch)
    dtype = np.float32 if params["readout"]["bias"].dtype == np.float64 else np.float64
    other = {name: a.astype(dtype) for name, a in params["readout"].items()}
    with refused(wrong_type("params['readout']['weights']", "dtype")):
        model.loss(params | {"readout": other}, batch)


def test_wrong_models_are_named(rng):
    with refused(Refusal("input_size or vocabulary_size", "one", "none")):
        nn.TreeModel(rd.trees.recursive(2), 3, 2)
    with refused(Refusal("where", "roots", "'leaves'")):
        nn.TreeModel(rd.trees.recursive(2), 3, 2, 1, where="leaves")
    with refused(wrong_type("cell", "TreeCell", "int")):
        nn.TreeModel(3, 3, 2, 1)
    model, params, batch = a_problem(rng, loss="mean_squared_error")
    with refused(Refusal("kind", "output", "'class'")):
        model.predict(params, batch[0], "class")
    with refused(wrong_type("model", "step by step", "TreeModel")):
        model.streamed(params)


def own_cell(scale=1.0):
    from recurrent_dynamics.equations import tanh

    return rd.trees.n_ary(
        "own", ["h"], ["n"], lambda drive, child: {"h": tanh(drive.n) * scale + child[0].h}, 2
    )


@pytest.mark.parametrize(
    "cell",
    [
        rd.trees.child_sum_lstm(forget_bias=1.0),
        rd.trees.n_ary_lstm(3),
        rd.trees.n_ary_lstm(np.int64(2)),
        rd.trees.recursive(None, "relu"),
        rd.cells.gru(),
        rd.trees.child_sum(rd.cells.elman("relu"), rd.cells.elman("tanh"), "named"),
    ],
    ids=repr,
)
def test_a_model_is_read_as_it_was_written(cell, tmp_path, rng):
    model, params, batch = a_problem(rng, "nodes", cell=cell)
    leaves = dict(training.tree.named_leaves(params))
    nn.save(tmp_path / "model.npz", model, params, extra={"words": ["a"]})
    saved = nn.load(tmp_path / "model.npz")
    assert repr(saved.model) == repr(model)
    assert saved.extra == {"words": ["a"]}
    assert saved.model.cell.init(N, H).keys() == params["tree"].keys()
    for path, a in training.tree.named_leaves(saved.params):
        np.testing.assert_array_equal(a, leaves[path])
    assert saved.model.loss(saved.params, batch) == model.loss(params, batch)
    params["tree"]["U"] = params["tree"]["U"][:, 1:]
    with pytest.raises(ValueError, match="'tree/U'"):
        nn.save(tmp_path / "model.npz", model, params)


def test_a_cell_of_ones_own_is_given_to_the_loader(tmp_path, rng):
    model, params, batch = a_problem(rng, cell=own_cell())
    nn.save(tmp_path / "model.npz", model, params)
    with pytest.raises(ValueError, match="'own': give the loader cells="):
        nn.load(tmp_path / "model.npz")
    for other in (own_cell(2.0), rd.trees.recursive(2), rd.cells.gru()):
        with pytest.raises(ValueError, match="equations that were saved"):
            nn.load(tmp_path / "model.npz", cells=other)
    with pytest.raises(ValueError, match="came list"):
        nn.load(tmp_path / "model.npz", cells=[own_cell()])
    with pytest.raises(ValueError, match="parametrize must be None for a model of trees"):
        nn.load(tmp_path / "model.npz", cells=own_cell(), parametrize=rd.parametrize.cayley)
    saved = nn.load(tmp_path / "model.npz", cells=own_cell())
    assert saved.model.loss(saved.params, batch) == model.loss(params, batch)


def test_a_changed_cell_of_the_library_is_one_of_ones_own(tmp_path, rng):
    from dataclasses import replace

    cell = rd.trees.recursive(2)
    changed = replace(cell, node=rd.trees.recursive(2, "relu").node)
    model, params, _ = a_problem(rng, cell=changed)
    nn.save(tmp_path / "model.npz", model, params)
    with pytest.raises(ValueError, match="give the loader cells="):
        nn.load(tmp_path / "model.npz")
    assert nn.load(tmp_path / "model.npz", cells=changed).model.cell is changed
