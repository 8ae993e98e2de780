"""One instance of every public result, by class: made by the library, or of arrays where that would take long."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from ode_fields import CHAIN, EXPLICIT

import recurrent_dynamics as rd
from recurrent_dynamics import dynamics, gradients, nn, ode, study, training
from recurrent_dynamics.data import Vocabulary

STEPS, BATCH, INPUTS, UNITS = 12, 3, 2, 4


@cache
def examples() -> dict[type, Any]:
    """Class -> instance."""
    made = [
        *_runs(),
        *_of_runs(),
        *_of_points(),
        *_of_arrays(),
        *_of_training(),
        *_of_fields(),
        *_of_study(),
        *_of_attention(),
        *_of_labels(),
        *_of_layers(),
        *_of_trees(),
        *_of_pairs(),
    ]
    return {type(result): result for result in made}


@cache
def _network() -> SimpleNamespace:
    cell = rd.cells.elman()
    params = cell.init(INPUTS, UNITS, rng=0, dtype="float64")
    x = np.random.default_rng(0).standard_normal((STEPS, BATCH, INPUTS))
    run = rd.forward(cell, params, x)
    last = np.zeros(run.output.shape)
    last[-1] = 1.0
    return SimpleNamespace(cell=cell, params=params, x=x, run=run, last=last, grads=rd.backward(run, last))


def _runs():
    n = _network()
    yield n.run
    yield n.grads
    yield rd.jvp(n.run, d_x=np.ones_like(n.x))
    yield gradients.truncated_bptt(n.cell, n.params, n.x, n.last, window=6, stride=6)
    yield next(iter(gradients.truncated_windows(n.cell, n.params, n.x, n.last, window=6, stride=6)))


def _of_attention():
    cell = rd.cells.attention(rd.cells.gru(), values="6")
    params = cell.init(INPUTS, UNITS, rng=0, dtype="float64")
    rng = np.random.default_rng(0)
    memory = {"keys": rng.standard_normal((7, BATCH, UNITS)), "values": rng.standard_normal((7, BATCH, 6))}
    run = rd.forward(cell, params, rng.standard_normal((STEPS, BATCH, INPUTS)), memory=memory)
    yield dynamics.alignment(run)
    yield dynamics.attention_paths(run, np.ones_like(run.output))


def _of_labels():
    yield nn.ctc_align(np.random.default_rng(0).standard_normal((12, 2, 4)), [[1, 2, 2], [3, 1, 2]])


def _of_runs():
    n = _network()
    flow = dynamics.gradient_flow(n.grads.states["h"])
    yield flow
    yield dynamics.gradient_growth(n.grads.states["h"])
    yield dynamics.lag_gradients(n.run, n.last, 4)
    yield dynamics.diagnose(flow, losses=np.geomspace(1, 0.1, 50), gradient_norms=np.ones(50))
    J = rd.jacobian(n.run)
    yield dynamics.jacobian_products(J)
    factors = np.random.default_rng(1).uniform(0.2, 1, (STEPS, BATCH, UNITS))
    yield dynamics.path_norms(J, factors, slot="h")
    yield dynamics.direct_products(factors, slot="h")
    yield dynamics.time_scales(factors, slot="h")
    yield dynamics.log_determinants(n.run)
    yield dynamics.omega(n.run, n.grads.states)
    yield dynamics.StepDerivatives(n.run).rmatvec(np.ones((STEPS, BATCH, UNITS)))
    yield dynamics.phase_portrait(n.run, ["left", "right", "left"])
    yield dynamics.flow_field(n.cell, n.params, dynamics.phase_portrait(n.run), points=8)
    spectrum = dynamics.lyapunov(
        n.cell, n.params, np.ones(INPUTS), initial={"h": np.zeros((2, UNITS))}, steps=800, check=True
    )
    yield spectrum
    yield spectrum.checks
    rest = {"initial": {"h": np.zeros((1, UNITS))}, "transient": 200, "backward_transient": 200}
    yield dynamics.covariant_vectors(n.cell, n.params, np.ones(INPUTS), steps=800, **rest)
    yield ode.step_stability(n.run)


def _of_points():
    n = _network()
    found = dynamics.fixed_points(n.cell, n.params | {"U": 2 * np.eye(UNITS)}, n.run)
    yield found
    yield found.slow
    yield found.unfinished
    yield found.certificate
    params = {"U": np.ones((1, 1)), "b": np.zeros(1)}
    branch = dynamics.continuation(n.cell, params, np.zeros(1), "U", (0.5, 2), begin=0.5)
    yield branch
    yield branch.bifurcations[0]


def _of_arrays():
    rng = np.random.default_rng(2)
    values = np.clip(rng.standard_normal((STEPS, BATCH, UNITS)), -1, 1)
    yield dynamics.saturation(values, (-0.9, 0.9), name="h")
    yield dynamics.Gate("f", "sigmoid", 1 / (1 + np.exp(-3 * values)))
    yield dynamics.tracking(values, {"sum": values.sum(axis=2), "first": values[..., 0]})
    matrix = np.array([[0.5, 4.0], [0.0, 0.6]])
    yield dynamics.numerical_range(matrix)
    yield dynamics.pseudospectra(matrix, 20)
    growth = dynamics.transient_growth(matrix, 20)
    yield growth
    yield growth.kreiss
    yield dynamics.Measure("gradient of a single loss 50 steps back", 1e-4, 1e-3, "below")
    yield dynamics.Trial(10, 0.1, 1.0, 0.5)


@cache
def _trained() -> SimpleNamespace:
    model = nn.Model(rd.cells.elman(), hidden_size=UNITS, vocabulary_size=3)
    cycle = np.arange(13)[:, None] % 3
    batch = (cycle[:-1], cycle[1:])
    result = training.fit(
        model, model.init(rng=0), [batch], validation=[batch], validate_every=5, optimizer=training.adam(),
        learning_rate=0.05, updates=20,
    )  # fmt: skip
    return SimpleNamespace(model=model, inputs=batch[0], result=result)


def _of_training():
    made = _trained()
    result = made.result
    yield result
    yield result.history
    yield training.Checkpoint(20, result.params, {"step": np.array(20)}, {}, history=result.history)
    run = made.model.forward(result.params, made.inputs)
    yield run
    yield made.model.backward(run, np.ones_like(run.output))
    yield nn.SavedModel(made.model, result.params, {"scale": 2.5})
    predictor = nn.ModelPredictor(made.model, result.params)
    yield nn.beam_search(predictor, [[0, 1]], 4, width=3, n_best=3, stop=2)


def _of_trees():
    cell, tree = rd.trees.recursive(2), rd.trees.from_nested((((), ()), ()))
    run = rd.trees.forward(cell, cell.init(INPUTS, UNITS), tree, np.ones((5, INPUTS), "float32"))
    yield tree
    yield rd.trees.skip_connections(6, (1, 3), 2)
    yield run
    grads = rd.trees.backward(run, run.output)
    yield grads
    yield rd.trees.jvp(run, d_x=np.ones((5, INPUTS), "float32"))
    yield rd.trees.gradient_by_depth(grads)
    model = nn.TreeModel(cell, UNITS, 2, input_size=INPUTS)
    read = model.run(model.init(rng=0), ((tree, np.ones((5, INPUTS), "float32")), [1]))
    yield read
    yield model.backward(read, np.ones_like(read.output))
    yield rd.data.syntax_trees("x = 1 + f(2)")


def _of_layers():
    layer = nn.bidirectional(
        nn.recurrent(rd.cells.elman(), UNITS, INPUTS), nn.recurrent(rd.cells.elman(), UNITS)
    )
    context = nn.Context(lengths=[STEPS, 4, 0])
    yield context
    y, pull = layer(layer.init(rng=0, dtype="float64"), _network().x, context)
    yield pull
    yield pull.gradients(y)
    objective = nn.Objective(layer, "mean_squared_error")
    yield objective.run(objective.init(rng=0, dtype="float64"), (_network().x, y))


def _of_pairs():
    layer = nn.recurrent(rd.cells.elman(), UNITS)
    model = nn.encoder_decoder(nn.chain(nn.embedding(5, 3), layer), layer, classes=4, begin=0, end=1)
    batch = nn.Pairs(np.ones((STEPS, BATCH), int), np.full((5, BATCH), 2))
    yield batch
    yield from model.differentiate(model.init(rng=0), batch)[1:]
    yield nn.exposure_bias(model.predictor(model.init(rng=0), batch.source), batch.target, stop=1, samples=5)
    reader = nn.TwoReadings(nn.embedding(5, 3), nn.chain(nn.embedding(4, 3), layer, nn.dense(None, 2)))
    asked = {
        "source": np.ones((3, BATCH), int),
        "inputs": np.ones((2, BATCH), int),
        "targets": np.ones(BATCH, int),
    }
    yield from reader.differentiate(reader.init(rng=0), asked)[1:]
    numbers = nn.encoder_decoder(nn.dense(2, 3), layer, output_size=1)
    yield nn.loop_growth(numbers, numbers.init(rng=0), np.ones((BATCH, 2), "float32"), steps=6)


def _of_fields():
    field = EXPLICIT["rate network"]
    params = field.init(INPUTS, UNITS, rng=0, dtype="float64")
    x = _network().x
    yield ode.linear_stability(field, params, np.zeros((2, UNITS)), "rk4", 0.1, input=np.zeros(INPUTS))
    yield ode.implicit_forward(field, params, x, dt=0.1)
    params = CHAIN.init(INPUTS, UNITS, rng=0, dtype="float64")
    run = ode.reversible_forward(CHAIN, params, x, dt=0.1)
    yield run
    yield run.backward(d_final={"q": np.ones((BATCH, UNITS))})


def _of_study():
    found = {type(result): result for result in (*_of_runs(), *_of_points(), *_of_arrays())}
    points, spectrum = found[dynamics.FixedPoints], found[dynamics.LyapunovSpectrum]
    flow, units = found[dynamics.GradientFlow], found[dynamics.Saturation]
    held = study.Held(0, 5, np.zeros((3, 2, UNITS)), points, 1.0, np.ones(len(points)), (0.1, 0.01), ())
    portrait = study.Portrait(spectrum, points.trajectories, [held], ())
    yield held
    yield portrait
    layer = study.Layer(
        _network().cell, flow, flow, found[dynamics.JacobianProducts], [found[dynamics.PathNorms]], [], [units],
        [found[dynamics.TimeScales]], portrait,
    )  # fmt: skip
    yield layer
    yield study.Measurements([layer], STEPS, 100, 4)
    model = study.CharacterModel(study.Settings(), Vocabulary("abc"), _trained().result.params)
    yield model
    yield study.Trained(model, _trained().result.history, "updates")
    yield study.Corpus(None, Vocabulary("abc"), np.zeros(900, int), np.zeros(100, int), "0" * 64)
