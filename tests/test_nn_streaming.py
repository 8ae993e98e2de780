"""Composed layers one step at a time: sampling, search and forecasts from an `Objective`."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.nn import Batch, Model, Objective
from recurrent_dynamics.nn.closed_loop import ClosedLoop

CLASSES = 5
LSTM, GRU = rd.cells.lstm(), rd.cells.gru()
LAYERS = {
    "embedding, two layers": lambda: nn.chain(
        nn.embedding(CLASSES, 4), nn.recurrent(LSTM, 4), nn.dropout(0.3), nn.recurrent(GRU, 3), nn.dense(None, CLASSES)
    ),
    "side by side": lambda: nn.chain(
        nn.concatenate(
            nn.chain(nn.embedding(CLASSES, 3), nn.recurrent(LSTM, 2)),
            nn.chain(nn.embedding(CLASSES, 2), nn.residual(nn.recurrent(GRU, 2))),
        ),
        nn.dense(None, CLASSES, bias=False),
    ),
    "one-hot": lambda: nn.chain(nn.recurrent(LSTM, 3, input_size=CLASSES), nn.dense(None, CLASSES)),
    "one cell alone": lambda: nn.recurrent(GRU, CLASSES, input_size=CLASSES),
    "a cell that reads its input": lambda: nn.chain(
        nn.embedding(CLASSES, 3), nn.recurrent(rd.cells.mut1(), 3), nn.dense(None, CLASSES)
    ),
    "no memory": lambda: nn.chain(nn.embedding(CLASSES, 3), nn.dense(None, CLASSES)),
    "numbers": lambda: nn.chain(nn.dense(2, 4), nn.residual(nn.recurrent(GRU, 4)), nn.dense(None, 2)),
    "made matrices": lambda: nn.chain(
        nn.recurrent(rd.cells.elman(), 4, input_size=2, parametrize=rd.parametrize.cayley), nn.dense(None, 2)
    ),
}  # fmt: skip
OF_CLASSES = [name for name in LAYERS if name not in ("numbers", "made matrices")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", LAYERS)
def test_steps_are_those_of_a_run(kind, dtype, rng):
    objective = Objective(LAYERS[kind]())
    params = objective.init(rng=1, dtype=dtype)
    inputs = (
        rng.integers(0, CLASSES, (8, 3))
        if kind in OF_CLASSES
        else rng.standard_normal((8, 3, 2)).astype(dtype)
    )
    expected = objective.predict(params, inputs)
    loop = ClosedLoop(objective, params)
    states = loop.begin(objective.run(params, Batch(inputs[:3], None)).final)
    assert [set(s) for s in states] == [set(cell.state) for cell in objective.cells]
    for t in range(3, 8):
        output, states = loop(inputs[t], states)
        assert output.dtype == dtype
        np.testing.assert_allclose(output, expected[t], rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-6)


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_a_row_does_not_depend_on_the_others(kind):
    objective = Objective(LAYERS[kind]())
    params = objective.init(rng=1)
    prime = np.array([[0, 1, 2], [3, 4, 0]])
    together = nn.ModelPredictor(objective, params)
    found, state = together.start(prime)
    found, _ = together.step(state, np.array([1, 1, 3]))
    for row in range(3):
        alone = together.take(state, np.array([row]))
        np.testing.assert_array_equal(together.step(alone, np.array([1, 1, 3])[[row]])[0][0], found[row])


def as_layers(model, params):
    """A model of classes or numbers as a chain, with its parameters."""
    first = [nn.embedding(model.vocabulary_size, model.embedding_size)] if model.vocabulary_size else []
    sizes = zip(model.cells, model.hidden_size, model.layer_inputs, strict=True)
    layers = [*first, *(nn.recurrent(*each) for each in sizes), nn.dense(None, model.output_size)]
    parts = [*([params["embedding"]] if first else []), *params["layers"].values(), params["readout"]]
    return Objective(nn.chain(*layers), model.loss_name), {str(i): p for i, p in enumerate(parts)}


def test_sampling_and_search_are_those_of_the_same_model():
    model = Model([LSTM, GRU], hidden_size=[5, 4], vocabulary_size=CLASSES)
    params = model.init(rng=3)
    objective, own = as_layers(model, params)
    for options in ({}, {"top_k": 2}, {"top_p": 0.6, "temperature": 0.7}, {"stop": 0}):
        one, other = (
            nn.generate(*pair, [[1, 2], [3, 0]], 12, rng=1, **options)
            for pair in ((model, params), (objective, own))
        )
        np.testing.assert_array_equal(one, other)
    one, other = (
        nn.beam_search(nn.ModelPredictor(*pair), [[1, 2]], 5, width=3, stop=0)
        for pair in ((model, params), (objective, own))
    )
    np.testing.assert_array_equal(one.log_probabilities, other.log_probabilities)


def test_forecasts_are_those_of_the_same_model(rng):
    model = Model([LSTM, GRU], [5, 4], input_size=2, output_size=2, loss="mean_squared_error")
    params = model.init(rng=3, dtype="float64")
    objective, own = as_layers(model, params)
    known = rng.standard_normal((9, 3, 2))
    for options in ({}, {"lengths": [9, 4, 1]}, {"feedback": lambda output, x: x + 0.1 * output}):
        one, other = (nn.forecast(*pair, known, 6, **options) for pair in ((model, params), (objective, own)))
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_what_cannot_go_on_by_itself_is_refused(rng):
    both = nn.bidirectional(nn.recurrent(GRU, 2), nn.recurrent(GRU, 2))
    tagger = Objective(nn.chain(nn.embedding(CLASSES, 3), both, nn.dense(None, CLASSES)))
    with refused("model", "from their beginning alone", "direction from the end"):
        nn.generate(tagger, tagger.init(), [0], 3)
    pooled = Objective(LAYERS["one-hot"](), pool="last")
    with refused("model", "pool=None"):
        nn.generate(pooled, pooled.init(), [0], 3)
    with refused(wrong_type("model", "be a Model or an Objective", "int")):
        nn.generate(3, {}, [0], 3)
    irregular = rd.ode.discretize(rd.ode.vector_field(rd.cells.elman()), "euler", step="signal")
    timed = Objective(nn.chain(nn.recurrent(irregular, 3, input_size=CLASSES), nn.dense(None, CLASSES)))
    with refused("model", "nothing but its input", "dt"):
        nn.generate(timed, timed.init(), [0], 3)
    numbers = Objective(LAYERS["numbers"](), "mean_squared_error")
    with refused("model", "classes of one vocabulary"):
        nn.generate(numbers, numbers.init(), [0], 3)
    with refused("model", "real numbers", "see generate"):
        nn.forecast(Objective(LAYERS["one-hot"]()), {}, np.ones((3, 1, 5)), 2)
    with refused(wrong_type("model", came="Chain")):
        nn.generate(LAYERS["one-hot"](), {}, [0], 3)

    class Mean(nn.Layer):
        """The mean over the whole sequence at every step."""

        input_size = output_size = CLASSES
        has_params = False

        def with_input(self, size):
            return self

        def draw(self, rng, dtype):
            return {}

        def apply(self, params, x, inputs, table=None):
            raise NotImplementedError

        def __repr__(self):
            return "mean"

    whole = Objective(nn.chain(nn.embedding(CLASSES, CLASSES), Mean()))
    with refused("model", "go step by step", "mean"):
        nn.generate(whole, whole.init(), [0], 3)
