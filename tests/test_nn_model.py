"""The model: gradients, batches, dropout."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.nn import Batch, Model


def character_model(dropout=0.0):
    return Model([rd.cells.lstm(), rd.cells.lstm()], hidden_size=[5, 4], vocabulary_size=6, dropout=dropout)


def character_batch(rng, steps=7, batch=3, **options):
    text = rng.integers(0, 6, (steps + 1, batch))
    return Batch(text[:-1].copy(), text[1:].copy(), **options)


def real_model(loss="mean_squared_error"):
    return Model(rd.cells.lstm(), hidden_size=4, input_size=2, output_size=3, loss=loss)


def check_gradient(model, params, batch, rng, **options):
    """Slope along random directions by central differences, against the gradient."""
    vector, unravel = rd.ravel(params)
    _, grads = model.loss_and_grad(params, batch, **options)
    gradient = rd.ravel(grads)[0]
    for _ in range(3):
        direction = rng.standard_normal(vector.size)
        up, down = (model.loss(unravel(vector + h * direction), batch, **options) for h in (1e-6, -1e-6))
        assert (up - down) / 2e-6 == pytest.approx(gradient @ direction, rel=1e-6, abs=1e-8)


def test_gradient_of_a_stack_with_mask_and_initial_state(rng):
    model = character_model()
    params = model.init(rng=1, dtype="float64")
    initial = [{s: rng.standard_normal((3, h)) for s in ("h", "c")} for h in (5, 4)]
    batch = character_batch(rng, mask=rng.random((7, 3)) < 0.7)
    check_gradient(model, params, batch, rng, initial=initial)


@pytest.mark.parametrize(
    "cell", [rd.cells.gru(), rd.cells.gru().with_normalization()], ids=["plain", "normalized"]
)
def test_a_window_longer_than_the_vocabulary_merges_the_embedding_with_the_first_layer(cell, rng):
    model = Model(cell, hidden_size=4, vocabulary_size=6, embedding_size=3)
    params = model.init(rng=1, dtype="float64")
    text = character_batch(rng, steps=3, batch=2)  # as many characters as there are classes
    assert model.run(params, text).merged is not None
    short = Batch(text.inputs[:2], text.targets[:2])
    assert model.run(params, short).merged is None
    check_gradient(model, params, text, rng)
    check_gradient(model, params, short, rng)
    # The runs of a text in one window and in two agree, though one is merged and the others are not.
    whole = model.run(params, text)
    first = model.run(params, short)
    last = model.run(params, Batch(text.inputs[2:], text.targets[2:]), first.final)
    both = np.concatenate([first.output, last.output])
    np.testing.assert_allclose(both, whole.output, atol=1e-12)
    assert model.backward(whole, np.ones_like(whole.output)).inputs is None


def test_gradient_with_real_inputs_and_squared_error(rng):
    model = real_model()
    batch = Batch(rng.standard_normal((5, 2, 2)), rng.standard_normal((5, 2, 3)))
    check_gradient(model, model.init(rng=1, dtype="float64"), batch, rng)


def test_gradient_with_lengths(rng):
    model = character_model()
    check_gradient(model, model.init(dtype="float64"), character_batch(rng, lengths=np.array([7, 3, 1])), rng)


def test_sequences_of_a_batch_do_not_see_what_is_beyond_their_length(rng):
    model = character_model()
    params = model.init(dtype="float64")
    lengths = np.array([7, 3, 1])
    batch = character_batch(rng, lengths=lengths)
    alone = [
        model.loss(params, (batch.inputs[:n, [i]], batch.targets[:n, [i]])) * n for i, n in enumerate(lengths)
    ]
    assert model.loss(params, batch) == pytest.approx(sum(alone) / lengths.sum(), rel=1e-12)


def test_gradient_by_initial_state_and_final_state(rng):
    model = character_model()
    params = model.init(dtype="float64")
    batch = character_batch(rng)
    states = lambda: [{s: rng.standard_normal((3, h)) for s in ("h", "c")} for h in (5, 4)]
    initial, direction, d_final = states(), states(), states()

    def objective(scale):
        moved = [{s: a[s] + scale * d[s] for s in a} for a, d in zip(initial, direction)]
        run = model.forward(params, batch.inputs, initial=moved)
        return sum((f[s] * d[s]).sum() for f, d in zip(run.final, d_final) for s in d)

    grads = model.backward(model.forward(params, batch.inputs, initial=initial), None, d_final)
    slope = sum((g[s] * d[s]).sum() for g, d in zip(grads.initial, direction) for s in d)
    assert (objective(1e-6) - objective(-1e-6)) / 2e-6 == pytest.approx(slope, rel=1e-6)


def test_two_windows_with_carried_state_are_one(rng):
    model = character_model()
    params = model.init(dtype="float64")
    batch = character_batch(rng)
    whole = model.forward(params, batch.inputs)
    first = model.forward(params, batch.inputs[:4])
    second = model.forward(params, batch.inputs[4:], initial=first.final)
    np.testing.assert_allclose(np.concatenate([first.output, second.output]), whole.output, atol=1e-13)


def test_a_run_outlives_its_parameters(rng):
    model = character_model()
    params = model.init()
    batch = character_batch(rng)
    _, run, before = model.differentiate(params, batch)
    inputs = batch.inputs.copy()
    for array in (
        params["readout"]["W"],
        params["embedding"]["table"],
        params["layers"]["0"]["U"],
        batch.inputs,
    ):
        array[:] = 0
    after = model.backward(run, model.score(run.output, batch)[1])
    np.testing.assert_array_equal(rd.ravel(after.params)[0], rd.ravel(before.params)[0])
    np.testing.assert_array_equal(run.indices, inputs)


def test_dropout_of_rate_zero_changes_nothing(rng):
    model = character_model(dropout=0.0)
    params, batch = model.init(), character_batch(rng)
    loss, grads = model.loss_and_grad(params, batch)
    other, other_grads = model.loss_and_grad(params, batch, dropout_rng=np.random.default_rng(0))
    assert loss == other == model.loss(params, batch)
    np.testing.assert_array_equal(rd.ravel(grads)[0], rd.ravel(other_grads)[0])


def test_dropout_is_drawn_between_layers_only_in_training(rng):
    model = character_model(dropout=0.4)
    params, batch = model.init(dtype="float64"), character_batch(rng, steps=200, batch=10)
    assert model.forward(params, batch.inputs).dropout == [None, None]
    first, second = model.forward(params, batch.inputs, dropout_rng=np.random.default_rng(0)).dropout
    assert first is None
    assert set(np.unique(second)) == {0.0, 1 / 0.6}
    assert second.mean() == pytest.approx(1, abs=0.02)


def test_gradient_with_dropout(rng):
    model = character_model(dropout=0.5)
    params, batch = model.init(dtype="float64"), character_batch(rng)
    vector, unravel = rd.ravel(params)
    loss = lambda v: model.loss_and_grad(unravel(v), batch, dropout_rng=np.random.default_rng(3))
    direction = rng.standard_normal(vector.size)
    slope = (loss(vector + 1e-6 * direction)[0] - loss(vector - 1e-6 * direction)[0]) / 2e-6
    assert slope == pytest.approx(rd.ravel(loss(vector)[1])[0] @ direction, rel=1e-6)


def test_parameters_are_nested_as_documented():
    params = character_model().init(rng=0)
    assert params["embedding"]["table"].shape == (6, 5)
    assert list(params["layers"]) == ["0", "1"]
    assert params["layers"]["1"]["W"].shape == (16, 5)
    assert params["readout"]["W"].shape == (6, 4)
    assert {a.dtype.name for a in (params["embedding"]["table"], params["readout"]["b"])} == {"float32"}
    assert rd.ravel(params)[0].dtype == np.float32
    assert "embedding" not in real_model().init()


def test_initialization_is_reproducible():
    model = character_model()
    same = [rd.ravel(model.init(rng=seed))[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert (same[0] != same[2]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, Refusal("either input_size (real inputs) or vocabulary_size (class indices)")),
        (
            {"input_size": 2, "vocabulary_size": 3},
            Refusal("either input_size (real inputs) or vocabulary_size (class indices)"),
        ),
        ({"input_size": 2}, Refusal("output_size")),
        (
            {"input_size": 2, "output_size": 1, "embedding_size": 3},
            Refusal("embedding_size"),
        ),
        ({"vocabulary_size": 3, "dropout": 0.1}, Refusal("dropout", "be 0 for one layer")),
        ({"vocabulary_size": 3, "dropout": 1.0}, Refusal("dropout")),
        (
            {"vocabulary_size": 3, "loss": "hinge"},
            Refusal("loss", "be one of cross_entropy, mean_squared_error", "'hinge'"),
        ),
        ({"vocabulary_size": 0}, Refusal("vocabulary_size")),
        ({"vocabulary_size": 3, "hidden_size": [2, 2]}, Refusal("hidden_size")),
        ({"vocabulary_size": 3, "hidden_size": 2.5}, Refusal("hidden_size")),
    ],
)
def test_errors_of_the_constructor(arguments, message):
    with refused(message):
        Model(rd.cells.lstm(), **({"hidden_size": 4} | arguments))


def test_errors_of_a_batch(rng):
    model = character_model()
    params = model.init()
    with refused(wrong_type("batch", came="ndarray")):
        model.loss(params, np.zeros((3, 2), int))
    with refused("inputs", "(T, B)", "(3,)"):
        model.loss(params, (np.zeros(3, int), np.zeros(3, int)))
    with refused("initial", "2", "those of 1"):
        model.forward(params, np.zeros((3, 2), int), initial=[{}])
    with refused("d_output"):
        model.backward(model.forward(params, np.zeros((3, 2), int)), np.zeros((3, 2, 5), np.float32))
    with refused("inputs", "(T, B, 2)", "(3, 2, 1)"):
        real_model().forward(real_model().init(), np.zeros((3, 2, 1), np.float32))


def test_without_a_tape_a_model_gives_the_same_and_has_no_gradients(rng):
    model = Model([rd.cells.lstm(), rd.cells.gru()], 6, vocabulary_size=5)
    params, inputs = model.init(rng=0), rng.integers(0, 5, (12, 3))
    run, taped = model.forward(params, inputs, tape=False), model.forward(params, inputs)
    assert run.output.tobytes() == taped.output.tobytes()
    for ours, theirs in zip(run.final, taped.final, strict=True):
        assert all(ours[slot].tobytes() == theirs[slot].tobytes() for slot in theirs)
    assert model.loss(params, (inputs, inputs)) == model.score(taped.output, (inputs, inputs))[0]
    with refused("run", came="tape=False"):
        model.backward(run, np.ones_like(run.output))
