"""What everybody gets wrong once is answered by what to write instead; analyses take models where that is clear."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics import dynamics, nn
from recurrent_dynamics.nn import Batch, Model

GRU = rd.cells.gru()


@pytest.fixture(scope="module")
def shallow():
    model = Model(GRU, 4, input_size=2, output_size=1, loss="mean_squared_error")
    return model, model.init(rng=0, dtype="float64")


@pytest.fixture(scope="module")
def deep():
    model = Model([GRU, GRU], 4, input_size=2, output_size=1, loss="mean_squared_error")
    return model, model.init(rng=0, dtype="float64")


X = np.random.default_rng(0).standard_normal((30, 3, 2))


def says(message, call, error=TypeError):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


CALL_IT = "came the function gru, which makes one: call it, gru()"


def test_a_cell_that_was_not_called():
    says(
        f"cells must be a Cell or a sequence of at least one Cell; {CALL_IT}",
        lambda: Model(rd.cells.gru, 4, 2),
    )
    says(
        "came the function lstm, which makes one: call it, lstm()", lambda: Model([GRU, rd.cells.lstm], 4, 2)
    )
    says("came 'gru': pass rd.cells.by_name('gru')", lambda: Model("gru", 4, 2))
    says(CALL_IT, lambda: rd.forward(rd.cells.gru, {}, X))
    says(CALL_IT, lambda: rd.stepper(rd.cells.gru, {}))
    says(CALL_IT, lambda: rd.compile(rd.cells.gru))
    says(CALL_IT, lambda: rd.ode.vector_field(rd.cells.gru))
    says(CALL_IT, lambda: dynamics.fixed_points(rd.cells.gru, {}, np.zeros(4)))
    says(CALL_IT, lambda: dynamics.lyapunov(rd.cells.gru, {}, steps=100))


def test_data_in_another_dtype_than_the_parameters(shallow):
    model, params = shallow
    narrow = model.init(rng=0)
    convert = (
        "must have dtype float32, as the parameters have; came float64 (dtypes are not mixed: convert it by "
        "np.asarray({name}, 'float32'), or make the parameters float64, as init(..., dtype='float64') does)"
    )
    says(f"x {convert.format(name='x')}", lambda: rd.forward(GRU, model.cell_params(narrow)[0], X))
    says(f"x {convert.format(name='x')}", lambda: rd.forward(GRU, model.cell_params(narrow)[0], X.tolist()))
    says(f"inputs {convert.format(name='inputs')}", lambda: model.forward(narrow, X))
    says("by np.asarray(x, 'float64'))", lambda: rd.forward(GRU, model.cell_params(params)[0], X > 0))


def test_data_with_the_batch_first(shallow):
    model, params = shallow
    batch_first, hint = X.swapaxes(0, 1), "is x batch first? x.swapaxes(0, 1) turns it"
    cell_params = model.cell_params(params)[0]
    lengths, reset = np.array([30, 20, 10]), np.zeros((30, 3), bool)
    says(hint, lambda: rd.forward(GRU, cell_params, batch_first, lengths=lengths), ValueError)
    says(hint, lambda: rd.forward(GRU, cell_params, batch_first, reset=reset), ValueError)
    assert rd.forward(GRU, cell_params, batch_first.swapaxes(0, 1), lengths=lengths, reset=reset).steps == 30


def test_a_model_where_a_cell_or_a_run_is_wanted(deep):
    model, params = deep
    one = "a Model: pass one layer i of it, 0 to 1, by model.cells[i] and model.cell_params(params)[i]"
    says(one, lambda: rd.forward(model, params, X))
    says(one, lambda: dynamics.fixed_points(model, params, np.zeros(4)))
    says(one, lambda: dynamics.continuation(model, params, np.zeros(4), "U", (0.5, 2)))
    says(one, lambda: dynamics.lyapunov(model, params, steps=100))
    says("pass model.cell_params(params)[i] for layer i", lambda: rd.forward(GRU, params, X))
    run = model.forward(params, X)
    layer = "came ModelRun of 2 layers: pass run.runs[i], i from 0 to 1"
    for analysis in (*OF_A_RUN.values(), dynamics.lyapunov):
        says(layer, lambda analysis=analysis: analysis(run))
        says(
            "came Model: pass a run of it, model.forward(params, inputs).runs[i]", lambda a=analysis: a(model)
        )
    says(layer, lambda: dynamics.fixed_points(GRU, model.cell_params(params)[0], run))
    says("call model.backward with it", lambda: rd.backward(run, run.output))
    says("call model.backward with it", lambda: dynamics.lag_gradients(run, run.output))


def test_an_objective_where_a_cell_or_a_run_is_wanted():
    objective = nn.Objective(nn.chain(nn.recurrent(GRU, 4, 2), nn.recurrent(GRU, 4), nn.dense(None, 1)))
    params = objective.init(rng=0, dtype="float64")
    one = "an Objective: pass one layer i of it, 0 to 1, by model.cells[i] and model.cell_params(params)[i]"
    says(one, lambda: rd.forward(objective, params, X))
    says(one, lambda: dynamics.fixed_points(objective, params, np.zeros(4)))
    says(one, lambda: rd.gradients.truncated_bptt(objective, params, X, X, window=4, stride=2))
    says("pass model.cell_params(params)[i] for layer i", lambda: rd.forward(GRU, params, X))
    run = objective.run(params, (X, None))
    for analysis in OF_A_RUN.values():
        says("ObjectiveRun of 2 layers: pass run.runs[i]", lambda a=analysis: a(run))
        says("Pull of 2 layers: pass run.runs[path], path among '0', '1'", lambda a=analysis: a(run.pull))
        says(
            "Objective: pass a run of it, model.run(params, (inputs, targets)).runs[i]",
            lambda a=analysis: a(objective),
        )
    says(
        "an Objective, whose layers have no second derivatives",
        lambda: nn.loss_hvp(objective, params, (X, X), params),
    )


def test_analyses_take_an_objective_of_one_recurrent_layer():
    objective = nn.Objective(nn.chain(nn.dense(2, 3), nn.recurrent(GRU, 4), nn.dense(None, 1)))
    params = objective.init(rng=0, dtype="float64")
    run = objective.run(params, (X, None))
    for analysis in OF_A_RUN.values():
        np.testing.assert_array_equal(analysis(run), analysis(run.runs[0]))
        np.testing.assert_array_equal(analysis(run.pull), analysis(run.runs[0]))
    found = dynamics.fixed_points(objective, params, run, number=5)
    expected = dynamics.fixed_points(GRU, params["1"], run.runs[0], number=5)
    np.testing.assert_array_equal(found.points, expected.points)


OF_A_RUN = {
    "jacobian": rd.jacobian,
    "operator": lambda run: rd.jacobian_operator(run).rmatvec(np.ones((30, 3, 4))),
    "gates": lambda run: dynamics.gates(run)[0].values,
    "states": lambda run: dynamics.states(run)[0].mean,
    "factors": lambda run: dynamics.direct_factors(run)["h"],
    "determinants": lambda run: dynamics.log_determinants(run).log_modulus,
    "products": lambda run: dynamics.jacobian_products(run).log_singular_values,
    "flossing": lambda run: dynamics.flossing(run, 2)[2],
    "steps": lambda run: dynamics.StepDerivatives(run).matvec(np.ones((30, 3, 4))),
    "omega": lambda run: dynamics.omega(run, {"h": np.ones((30, 3, 4))}).ratios,
    "portrait": lambda run: dynamics.phase_portrait(run).trajectories,
}


def test_analyses_take_the_run_of_a_model_of_one_layer(shallow):
    model, params = shallow
    run = model.forward(params, X)
    for analysis in OF_A_RUN.values():
        np.testing.assert_array_equal(analysis(run), analysis(run.runs[0]))
    found, expected = (dynamics.lyapunov(r, check=False, tolerance=100.0) for r in (run, run.runs[0]))
    np.testing.assert_array_equal(found.exponents, expected.exponents)


def test_analyses_take_a_model_of_one_layer(shallow):
    model, params = shallow
    found = dynamics.fixed_points(model, params, model.forward(params, X), number=5)
    expected = dynamics.fixed_points(
        GRU, model.cell_params(params)[0], model.forward(params, X).runs[0], number=5
    )
    np.testing.assert_array_equal(found.points, expected.points)
    assert found.cell is GRU
    plane = dynamics.phase_portrait(model.forward(params, X))
    field = dynamics.flow_field(model, params, plane, points=3)
    expected_field = dynamics.flow_field(GRU, model.cell_params(params)[0], plane, points=3)
    np.testing.assert_array_equal(field.velocity, expected_field.velocity)


def test_what_from_torch_returns_for_stacked_layers():
    pairs = [(GRU, GRU.init(2, 4)), (GRU, GRU.init(4, 4))]
    says("from_torch returns a list of pairs, one a layer", lambda: rd.forward(pairs[0], pairs[1], X))
    says("unpack a pair, cell, params = pair", lambda: rd.forward(pairs, None, X))


class Torch:
    """Stands for a module."""

    def state_dict(self):
        return {}


def test_a_module_of_pytorch():
    from_torch = "came a Torch with a state_dict: cell, params = rd.interop.from_torch(module)"
    says(from_torch, lambda: rd.forward(Torch(), {}, X))
    batch = Batch(X, X[..., :1])
    says("came Torch: rd.interop.model_from_torch makes a model", lambda: rd.diagnose(Torch(), batch))


def test_parameters_that_are_not_those_of_a_model(shallow):
    model, params = shallow
    batch = Batch(X, X[..., :1])
    result = rd.training.fit(model, params, [batch], optimizer="adam", learning_rate=0.1, updates=1)
    came = "params must be nested as model.init nests them; came FitResult: pass its params"
    says(came, lambda: model.cell_params(result))
    says(came, lambda: model.predict(result, X))
    says(came, lambda: rd.nn.forecast(model, result, X, steps=1, feedback=lambda y, x: x))
    says(came, lambda: rd.nn.save("nowhere.npz", model, result))
    lacks = "params must hold 'layers', as model.init makes it; came W, U, b, b_h"
    says(lacks, lambda: model.predict(model.cell_params(params)[0], X), ValueError)


def test_targets_that_are_missing_are_named(shallow):
    model, params = shallow
    y = X[..., :1].copy()
    y[4, 1] = np.nan
    says(
        "targets must be finite wherever they count (a mask of 0 leaves a target out); came nan at index (4, 1, 0)",
        lambda: rd.training.fit(model, params, [(X, y)], optimizer="adam", learning_rate=0.1, updates=1),
        ValueError,
    )


def test_a_list_of_sequences_where_one_array_is_wanted(shallow):
    model, params = shallow
    says(
        "inputs must be one array; came arrays of different shapes, (3, 2), (4, 2): rd.data.pad makes one array",
        lambda: model.predict(params, [np.zeros((3, 2)), np.zeros((4, 2)), np.zeros((4, 2))]),
    )


def test_a_run_where_states_are_wanted(shallow):
    model, params = shallow
    run = model.forward(params, X).runs[0]
    says(
        "came a Run: pass the states of one slot, run.states['h']", lambda: dynamics.measured_time_scales(run)
    )
    says("run.states['h']", lambda: dynamics.measured_time_scales(model.forward(params, X)))
    says("came a Run: pass run.states['h'], or", lambda: dynamics.saturation(run, (-0.9, 0.9)))
    says("those of one slot, rd.dynamics.direct_factors(run)['h']", lambda: dynamics.time_scales(run))
    says("eigenvalues must hold real or complex numbers", lambda: dynamics.time_constants(run))
    says("'c': there are h", lambda: run.final["c"], KeyError)
    says("ax must be an Axes; came Run", lambda: dynamics.phase_portrait(run).plot(ax=run))


def test_other_arguments_that_are_easily_mistaken(shallow):
    model, params = shallow
    batch = Batch(X, X[..., :1])
    fit = lambda data, rate: rd.training.fit(
        model, params, data, optimizer="adam", learning_rate=rate, updates=1
    )
    says("learning_rate must be a finite number above 0; came -1", lambda: fit([batch], -1), ValueError)
    says("came tuple: a list of one batch is [batch]", lambda: fit((X, X[..., :1]), 0.1))
    says(
        "loss_and_grad must return (loss, gradients); came float",
        lambda: rd.training.minimize(lambda p: 1.0, params),
    )
    says(
        "indices must be integers; came a text: a Vocabulary encodes it", lambda: rd.data.Streams("abc", 1, 2)
    )
    pair = GRU, model.cell_params(params)[0]
    says("came a cell: write to_torch((cell, params))", lambda: rd.interop.to_torch(*pair))
    says(
        "feedback must be a function of the output and the input before; came 'output'",
        lambda: rd.nn.forecast(model, params, X, steps=1, feedback="output"),
    )


def test_text_where_classes_are_wanted():
    model = Model(GRU, 4, vocabulary_size=5)
    says(
        "prime must be class indices; came the text 'def ': encode it by the vocabulary of the model, "
        "vocabulary.encode(prime)",
        lambda: rd.nn.generate(model, model.init(), "def ", 3),
    )


MASKED = np.ma.masked_greater(X, 1.5)


def test_a_mask_is_not_dropped(shallow):
    model, params = shallow
    came = f"must be an array without a mask; came a masked array of shape {MASKED.shape}"
    says(f"x {came}", lambda: rd.forward(GRU, model.cell_params(params)[0], MASKED))
    says(f"inputs {came}", lambda: model.forward(params, MASKED))
    masked = np.ma.masked_greater(X[..., :1], 1.0)
    assert masked.mask.any()
    says("targets must be an array without a mask", lambda: model.loss(params, (X, masked)))
    whole = np.ma.masked_array(X)
    np.testing.assert_array_equal(model.forward(params, whole).output, model.forward(params, X).output)


def test_numbers_that_cannot_be_meant(shallow):
    model, params = shallow
    autonomous = {"U": np.zeros((12, 4)), "b": np.zeros(12), "b_h": np.zeros(4)}
    for steps in (2**63, 0, 2.0, True):
        says("steps must be an integer of", lambda s=steps: rd.forward(GRU, autonomous, steps=s), ValueError)
    batch = Batch(X, X[..., :1], lengths=np.zeros(3, int))
    says("lengths must be above 0 for one sequence at least", lambda: model.loss(params, batch), ValueError)
    batch = Batch(X, X[..., :1], mask=np.arange(30)[:, None] > np.full(3, 15), lengths=np.full(3, 5))
    says("mask must be above 0 somewhere within the lengths", lambda: model.loss(params, batch), ValueError)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_named(bad):
    grads = {"layers": {"0": {"W": np.array([[1.0, 2.0], [3.0, bad]])}}, "b": np.ones(2)}
    message = re.escape(f"the gradient of layers/0/W must be finite; came {bad} at index (1, 1)")
    for clip in (rd.training.clip_by_global_norm, rd.training.clip_by_value):
        with pytest.raises(FloatingPointError, match=message):
            clip(grads, 1.0)
    with pytest.raises(FloatingPointError, match="the norm of the gradients became inf"):
        rd.training.clip_by_global_norm({"W": np.array([1e200])}, 1.0)


def test_names_do_not_depend_on_a_profiler():
    expected = rd.cells.lstm_peephole().schedule.graph.names
    assert expected
    seen = []
    sys.setprofile(lambda *event: seen.append(event[1]))
    try:
        found = rd.cells.lstm_peephole().schedule.graph.names
    finally:
        sys.setprofile(None)
    assert found == expected
    assert seen


def test_a_drive_is_an_attribute():
    def update(drive, state):
        return {"h": rd.equations.tanh(drive["n"])}

    says(
        "values are attributes, drive.a; came drive['n']",
        lambda: rd.cells.Cell("by item", state=("h",), drives=("n",), update=update),
        rd.equations.graph.DefinitionError,
    )


def test_a_file_of_another_kind_is_named(shallow, tmp_path):
    model, params = shallow
    checkpoint, network = tmp_path / "checkpoint.npz", tmp_path / "network.npz"
    batch = Batch(X, X[:, :, :1])
    rd.training.fit(
        model, params, [batch], optimizer="adam", updates=1, learning_rate=0.1, checkpoint=checkpoint
    )
    nn.save(network, model, params)
    says(
        "came a checkpoint, which rd.training.load_checkpoint reads", lambda: nn.load(checkpoint), ValueError
    )
    says("came a network, which rd.nn.load reads", lambda: rd.training.load_checkpoint(network), ValueError)
    says("came a network, which rd.nn.load reads", lambda: rd.study.load_model(network), ValueError)


def test_a_batch_where_states_are_wanted():
    says("states must hold real numbers; came Batch", lambda: dynamics.phase_portrait(Batch(X, X[:, :, :1])))


def test_truths_as_classes(shallow):
    says(
        "came dtype bool: targets.astype(int) are classes 0 and 1",
        lambda: rd.data.SequenceBatches([X[:, 0], X[:, 1]], [True, False], 2),
        ValueError,
    )


def test_sequences_where_batches_are_wanted(shallow):
    model, params = shallow
    says(
        "came tuple: rd.data.SequenceBatches makes batches of sequences",
        lambda: rd.training.fit(
            model, params, ([X[:5, 0], X[:, 0]], [0, 1]), optimizer="adam", learning_rate=0.1, updates=1
        ),
    )


def test_an_option_of_a_method_of_scipy():
    says(
        "came maxiter: options of a method come in a dict, options={'maxiter': ...}",
        lambda: rd.training.minimize(lambda p: (0.0, p), {"w": np.zeros(2)}, maxiter=5),
    )
