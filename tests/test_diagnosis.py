"""Diagnoses: what each set of numbers is called, and what models are called of which we know what is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import Trial, diagnose, gradient_flow, saturation
from recurrent_dynamics.dynamics.diagnosis import measures
from recurrent_dynamics.nn.layers.directions import reverse
from recurrent_dynamics.training import DivergenceError, fit, sgd
from recurrent_dynamics.training import diagnose as of_model
from recurrent_dynamics.training.last_loss import last_loss_flows, loss_by_step

LAGS = np.arange(60.0)
FADING, STAYING, GROWING = 0.5**LAGS, 0.98**LAGS, 1.1**LAGS
LEARNING = np.geomspace(1.0, 0.01, 100)
UNLEARNT = np.full(100, 0.5)
SLOWER = {"as_it_is": 50.0, "slower": 1.0}


@pytest.mark.parametrize(
    ("numbers", "verdict", "cause"),
    [
        ({"flows": FADING}, "vanishing", "matrix"),
        ({"flows": FADING, "gated": True}, "vanishing", "gates"),
        ({"flows": FADING, "losses": UNLEARNT, "baseline": 0.5}, "vanishing", "matrix"),
        ({"flows": FADING, "losses": LEARNING, "baseline": 0.5}, "healthy", None),  # it learnt all the same
        ({"flows": FADING, "losses": np.linspace(1, 0.3, 100), "baseline": 0.5}, "unsure", None),
        ({"flows": GROWING}, "exploding", "Jacobian"),
        ({"flows": GROWING, "losses": LEARNING}, "healthy", None),  # training takes it
        ({"flows": GROWING, "losses": [1.0, 3.0, 40.0]}, "exploding", "Jacobian"),
        ({"flows": STAYING, "losses": [1.0, 3.0, 40.0]}, "exploding", "learning rate"),
        ({"flows": STAYING, "losses": [1.0, np.nan]}, "exploding", "learning rate"),
        ({"losses": [1.0, 3.0, 40.0]}, "unsure", None),  # no gradient was looked at
        ({"flows": STAYING, "trial": Trial(10, 0.1, **SLOWER)}, "exploding", "learning rate"),
        ({"flows": GROWING, "trial": Trial(10, 0.1, **SLOWER, contracted=1.0)}, "exploding", "Jacobian"),
        ({"flows": GROWING, "trial": Trial(10, 0.1, **SLOWER, contracted=90.0)}, "unsure", None),
        ({"flows": STAYING, "losses": UNLEARNT, "baseline": 0.5}, "unsure", None),
        ({"flows": STAYING, "losses": LEARNING, "baseline": 0.5}, "healthy", None),
        ({"flows": STAYING}, "healthy", None),
    ],
)
def test_numbers_have_their_verdict(numbers, verdict, cause):
    found = diagnose(**numbers)
    assert (found.verdict, found.cause) == (verdict, cause)
    assert found.verdict in str(found)
    if verdict != "unsure":  # where it may advise longer windows
        assert bool(found.remedies) == (verdict != "healthy")
    for measure in found.measures:
        assert measure.speaks == (f"! {measure.name}" in str(found))


def test_clipping_that_holds_a_training_together_hides_no_explosion():
    norms = np.full(100, 1e3)
    found = diagnose(GROWING, gradient_norms=norms, clipped_norms=np.ones(100), losses=LEARNING)
    assert (found.verdict, found.cause) == ("exploding", "Jacobian")
    assert "100 % of the gradients were cut, the largest from 1e+03 to 1" in str(found)
    assert not any(remedy.startswith("clip the gradient") for remedy in found.remedies)
    rarely = diagnose(GROWING, gradient_norms=norms, clipped_norms=np.r_[1.0, norms[1:]], losses=LEARNING)
    assert rarely.verdict == "healthy"


def test_the_layer_and_the_lag_of_an_explosion_are_named():
    found = diagnose([STAYING, GROWING])
    assert "in layer 2; it passes 10 times 25 steps back" in str(found)  # 1.1**25 = 10.8


def test_overfitting_is_by_memory_where_the_gap_grows_along_the_window():
    turned = np.r_[np.linspace(1, 0.5, 10), np.linspace(0.5, 0.8, 10)]
    numbers = {"flows": STAYING, "losses": LEARNING, "validation_losses": turned}
    known = np.linspace(1.0, 0.0, 30)
    far = diagnose(**numbers, loss_by_step=known, validation_by_step=np.linspace(1, 1.5, 30))
    assert (far.verdict, far.cause) == ("overfitting", "long-range memory")
    near = diagnose(**numbers, loss_by_step=np.full(30, 0.1), validation_by_step=np.full(30, 0.8))
    assert (near.verdict, near.cause) == ("overfitting", "short range")
    blind = diagnose(
        **numbers | {"flows": FADING}, loss_by_step=known, validation_by_step=np.linspace(1, 1.5, 30)
    )
    assert blind.cause == "short range"  # no gradient reaches back so far
    assert diagnose(STAYING, losses=LEARNING, validation_losses=LEARNING[::5]).verdict == "healthy"


def test_stuck_units_are_found_in_activations_of_another_library(rng):
    state = np.sign(rng.standard_normal((40, 5, 10))) * 0.999
    found = diagnose(STAYING, gates={"i": np.ones((40, 5, 10))}, states={"h": state})
    assert found.verdict == "saturated"
    assert "100 % of the units of h in layer 1" in str(found)
    state[:, :, :6] = 0.5 * rng.uniform(-1, 1, (40, 5, 6))
    assert diagnose(STAYING, states={"h": state}).verdict == "healthy"
    state[:, :, :6] = 0.2  # one value, whatever they read
    assert diagnose(STAYING, states={"h": state}).verdict == "saturated"


def test_a_forget_gate_that_is_always_open_is_not_judged():
    open_ = saturation(np.full((10, 2, 4), 0.999), (0.1, 0.9), name="f")
    assert diagnose(STAYING, gates=[open_]).verdict == "healthy"
    assert measures.stuck([open_]) == (1.0, "f")


@pytest.mark.parametrize(
    ("numbers", "refusal"),
    [
        ({}, Refusal("flows, losses, gradient_norms, states or a trial", came="none")),
        ({"flows": [[1.0, np.nan]]}, Refusal("flows", "be one GradientFlow for each layer")),
        ({"flows": FADING, "truncation": 0}, Refusal("truncation", "1", "0")),
        ({"flows": FADING, "baseline": 0.0}, Refusal("baseline", "0", "0")),
        ({"flows": FADING, "losses": np.ones((2, 2))}, Refusal("losses", "be numbers in one row")),
        ({"flows": FADING, "clipped_norms": [1.0]}, Refusal("clipped_norms", "be as many as gradient_norms")),
        (
            {"flows": FADING, "loss_by_step": [1.0]},
            Refusal("loss_by_step and validation_by_step", "be given both"),
        ),
        ({"flows": 5.0}, Refusal("flows", "be one GradientFlow for each layer")),
        ({"gradient_norms": [-1.0]}, Refusal("gradient_norms", "0")),
        (
            {"losses": [1.0], "validation_losses": [np.nan]},
            Refusal("validation_losses", "be finite numbers in one row"),
        ),
        ({"states": {"h": np.ones(3)}}, Refusal("states['h']", "(T, B, H)")),
        ({"states": {"h": np.full((2, 2, 2), np.nan)}}, Refusal("states['h']", "be finite")),
    ],
)
def test_numbers_that_make_no_sense_are_refused(numbers, refusal):
    with refused(refusal):
        diagnose(**numbers)


@pytest.mark.parametrize(
    ("numbers", "refusal"),
    [
        ({"losses": "low"}, wrong_type("losses", came="'low'")),
        ({"flows": FADING, "states": "h"}, wrong_type("states", came="'h'")),
        ({"flows": FADING, "gates": [3]}, wrong_type("gates", came="3")),
        ({"flows": FADING, "gates": {"f": "open"}}, wrong_type("gates['f']", came="'open'")),
        ({"flows": FADING, "trial": 3}, wrong_type("trial", came="int")),
        ({"flows": FADING, "gated": "yes"}, wrong_type("gated", came="'yes'")),
    ],
)
def test_numbers_of_another_type_are_refused(numbers, refusal):
    with refused(refusal):
        diagnose(**numbers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history": {"loss": [1.0]}}, wrong_type("history", "be a History", "dict")),
        ({"params": {}}, wrong_type("params", "be those of the model,", "a dict of nothing")),
        ({"params": 3}, wrong_type("params", "be those of the model,", "3")),
        ({"optimizer": 0.1}, wrong_type("optimizer", "be an Optimizer", "float")),
        (
            {"optimizer": sgd(), "learning_rate": -1.0},
            Refusal("learning_rate", "be a finite number above 0"),
        ),
        ({"validation": 3}, wrong_type("validation", "be a Batch or a tuple, as batch is", "int")),
        ({"truncation": 1.5}, Refusal("truncation", "be an integer of at least 1", "1.5")),
    ],
)
def test_each_argument_of_the_diagnosis_of_a_model_is_named_in_its_error(options, message):
    model, params = model_of(rd.cells.elman())
    with refused(message):
        of_model(model, TASK.batch(0), **{"params": params} | options)


def model_of(cell, units=12, seed=0, gain=None):
    model = rd.nn.Model(cell, units, input_size=2, output_size=1, loss="mean_squared_error")
    params = model.init(rng=seed)
    if gain is not None:
        U = np.random.default_rng(seed).standard_normal((units, units)) * gain / np.sqrt(units)
        params["layers"]["0"]["U"] = U.astype("float32")
    return model, params


TASK = rd.data.AddingProblem(40, batch_size=8)


def test_a_network_with_a_small_matrix_vanishes_and_one_with_a_large_matrix_explodes():
    model, params = model_of(rd.cells.elman(), gain=0.3)
    found = of_model(model, TASK.batch(0), params=params)
    assert (found.verdict, found.cause) == ("vanishing", "matrix")
    model, params = model_of(rd.cells.elman(), gain=4.0)
    params["layers"]["0"]["W"] *= 0.01
    assert of_model(model, TASK.batch(0), params=params).cause == "Jacobian"


def test_a_rate_that_is_too_large_is_told_from_a_matrix_that_is_too_large():
    model, params = model_of(rd.cells.elman(), gain=0.3)
    with pytest.raises(DivergenceError) as raised:
        fit(model, params, TASK, optimizer=sgd(), learning_rate=5.0, updates=200, progress=False)
    found = of_model(model, TASK.batch(0), raised.value.history, params=params)
    assert (found.verdict, found.cause) == ("exploding", "learning rate")
    trials = [m.value for m in found.measures if m.name.startswith("loss of one batch")]
    assert trials[0] > 10 > trials[1]  # plain gradient descent was recognized, and tried


def test_the_model_of_a_study_brings_its_parameters():
    class Held:
        pass

    held = Held()
    held.model, held.params = model_of(rd.cells.elman(), gain=0.3)
    assert of_model(held, TASK.batch(0)).verdict == "vanishing"
    with refused("params", came="None"):
        of_model(held.model, TASK.batch(0))
    with refused(wrong_type("model", came="object")):
        of_model(object(), TASK.batch(0), params=held.params)
    assert rd.diagnose is of_model


def test_the_flow_of_the_last_loss_is_that_of_its_gradient():
    model, params = model_of(rd.cells.lstm())
    batch = TASK.batch(0)
    _, run, grads = model.differentiate(params, batch)
    (flow,) = last_loss_flows(model, run, batch)
    # The adding problem has its only loss at the end: the gradient of the mean loss, times the batch.
    d = np.concatenate(list(grads.layers[0].states.values()), axis=-1)
    np.testing.assert_allclose(flow.norms, gradient_flow(8 * d).norms, rtol=1e-4)


def test_losses_that_end_at_different_steps_are_aligned():
    model, params = model_of(rd.cells.elman())
    batch = TASK.batch(0)
    ragged = rd.nn.Batch(
        batch.inputs, np.ones((40, 8, 1), "float32"), lengths=np.array([40, 30, 20, 11, 40, 40, 40, 40])
    )
    run = model.forward(params, ragged.inputs, lengths=ragged.lengths)
    (flow,) = last_loss_flows(model, run, ragged)
    assert len(flow.lags) == 11
    assert (flow.norms > 0).all()


def test_the_loss_by_step_averages_to_the_loss():
    model, params = model_of(rd.cells.elman())
    batch = rd.nn.Batch(TASK.batch(0).inputs, np.ones((40, 8, 1), "float32"))
    run = model.forward(params, batch.inputs)
    by_step = loss_by_step(model, run.output, model.compared(batch))
    assert by_step.mean() == pytest.approx(model.loss(params, batch), rel=1e-5)
    last = loss_by_step(model, run.output, model.compared(TASK.batch(0)))
    assert np.isnan(last[:-1]).all()
    assert np.isfinite(last[-1])


def test_a_diagnosis_is_drawn_with_a_panel_for_each_kind_of_number():
    norms = np.ones(100)
    found = diagnose(
        STAYING, gradient_norms=norms, clipped_norms=norms, losses=LEARNING, validation_losses=LEARNING[::10],
        gates={"h": np.random.default_rng(0).uniform(-1, 1, (9, 2, 3))}, baseline=0.5,
        loss_by_step=np.ones(9), validation_by_step=np.ones(9),
    )  # fmt: skip
    drawn = found.plot()
    titles = [ax.get_title() for ax in drawn]
    assert titles == [
        "loss", "norm of the gradient", "gradient of one loss, relative", "loss along the window", "gates and states",
    ]  # fmt: skip
    assert len(diagnose(STAYING).plot()) == 1
    own = Figure().subplots(1, 2)
    with refused("axes", "1", "2"):
        diagnose(STAYING).plot(axes=own)


def test_the_table_of_the_documentation_holds_what_was_asked_for():
    path = Path(__file__).parent.parent / "docs" / "_static" / "data" / "diagnosis.csv"
    with path.open(newline="", encoding="utf-8") as file:
        assert file.readline().startswith("# python docs/make_diagnosis_table.py")
        rows = list(csv.DictReader(file))
    assert len({row["case"] for row in rows}) >= 8
    assert {row["seed"] for row in rows} == {"4", "5", "6"}
    assert len({row["units"] for row in rows}) == 2
    assert {row["truth"] for row in rows} >= {"unsure", "healthy"}, json.dumps(rows[:2])


def test_composed_layers_are_diagnosed_as_the_model_that_they_are():
    model, params = model_of(rd.cells.elman(), gain=4.0)
    layer = rd.nn.chain(rd.nn.recurrent(rd.cells.elman(), 12, input_size=2), rd.nn.dense(None, 1))
    own = {"0": params["layers"]["0"], "1": params["readout"]}
    options = {"optimizer": "sgd", "learning_rate": 0.1, "validation": TASK.batch(1)}
    expected = of_model(model, TASK.batch(0), params=params, **options)
    found = of_model(rd.nn.Objective(layer, "mean_squared_error"), TASK.batch(0), params=own, **options)
    assert str(found) == str(expected)


def test_a_direction_from_the_end_is_followed_to_the_first_loss(rng):
    gru = rd.nn.recurrent(rd.cells.gru(), 5, input_size=2)
    objective = rd.nn.Objective(
        rd.nn.chain(rd.nn.bidirectional(gru, gru), rd.nn.dense(None, 1)), "mean_squared_error"
    )
    params = objective.init(rng=0, dtype="float64")
    lengths = np.array([20, 13, 9])
    x, targets = rng.standard_normal((20, 3, 2)), rng.standard_normal((20, 3, 1))
    forth, back = (
        last_loss_flows(objective, objective.run(p, batch), batch)
        for p, batch in (
            (params, rd.nn.Batch(x, targets, lengths=lengths)),
            (turned(params), rd.nn.Batch(reverse(x, lengths), reverse(targets, lengths), lengths=lengths)),
        )
    )
    assert len(forth[0].lags) == len(forth[1].lags) == 9
    for one, other in ((0, 1), (1, 0)):
        np.testing.assert_allclose(forth[one].norms, back[other].norms, rtol=1e-12)
    batch = rd.nn.Batch(x, targets, lengths=lengths)
    found = of_model(objective, batch, params=params)
    assert found.reach is None or 0 < found.reach <= 20


def turned(params):
    """Those of the network that reads every sequence the other way round."""
    both, W = params["0"], params["1"]["W"]
    return {
        "0": {"forward": both["backward"], "backward": both["forward"]},
        "1": {"W": np.concatenate([W[:, 5:], W[:, :5]], axis=1), "b": params["1"]["b"]},
    }


def test_the_end_of_a_direction_from_the_end_has_no_past():
    gru = rd.nn.recurrent(rd.cells.gru(), 5, input_size=2)
    layer = rd.nn.chain(rd.nn.bidirectional(gru, gru), rd.nn.dense(None, 1))
    batch = rd.nn.Batch(TASK.batch(0).inputs, np.ones((8, 1), "float32"))
    objective = rd.nn.Objective(layer, "mean_squared_error", pool="last")
    with refused("model", "pool by 'mean'"):
        of_model(objective, batch, params=objective.init())
    objective = rd.nn.Objective(layer, "mean_squared_error", pool="mean")
    found = of_model(objective, batch, params=objective.init())
    assert found.verdict in ("healthy", "vanishing", "unsure")
    with refused(wrong_type("params", came="0")):
        of_model(objective, batch, params={"0": objective.init()["0"]["forward"]})
    dense = rd.nn.Objective(rd.nn.dense(2, 1), "mean_squared_error")
    with refused("model", "recurrent layer"):
        of_model(dense, TASK.batch(0), params=dense.init())


def test_a_model_of_trees_is_told_where_its_depth_is_measured():
    model = rd.nn.TreeModel(rd.trees.recursive(2), 3, 2, input_size=1)
    with refused(wrong_type("model", "nn.EncoderDecoder", "gradient_by_depth")):
        of_model(model, None, params=model.init())
