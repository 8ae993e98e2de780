"""Models of cells that read signals, such as the time since the sample before: gradients, training, errors."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics import cells, training
from recurrent_dynamics.data import WithNoise
from recurrent_dynamics.nn import Batch, Model, generate
from recurrent_dynamics.ode import Field, discretize

T, B = 5, 3
LEAK = Field(
    "leak", ("h",), ("n",), lambda drive, state: {"h": drive.n - state.h}, linear=lambda: {"h": -1.0}
)
STACKS: dict[str, list[Any]] = {
    "ctrnn": [cells.ctrnn(dt=None, learnt=True)],
    "cfc": [cells.cfc(dt=None)],
    "exponential euler": [discretize(LEAK, "exponential_euler", step="signal")],
    "elman and two liquid": [cells.elman(), cells.ltc(dt=None), cells.cfc(dt=None)],
}


def model_of(stack: list[Any], **options: Any) -> Model:
    given = {"input_size": 2, "output_size": 2, "loss": "mean_squared_error"} | options
    return Model(stack, 4, **given)


def batch_of(rng: np.random.Generator, dt: Any = None, **options: Any) -> Batch:
    x, targets = rng.standard_normal((2, T, B, 2))
    return Batch(x, targets, signals={"dt": rng.uniform(0.1, 1.0, (T, B)) if dt is None else dt}, **options)


def slopes(model: Model, params: Any, batch: Batch, grads: Any, rng: np.random.Generator) -> None:
    """Random directions in parameters and signals by central differences, against the gradients."""
    vector, unravel = rd.ravel(params)
    assert batch.signals is not None
    dt = batch.signals["dt"]
    for _ in range(3):
        by, dt_by = rng.standard_normal(vector.size), rng.standard_normal(dt.shape)
        up, down = (
            model.loss(unravel(vector + h * by), batch._replace(signals={"dt": dt + h * dt_by}))
            for h in (1e-6, -1e-6)
        )
        wanted = rd.ravel(grads.params)[0] @ by + np.sum(grads.signals["dt"] * dt_by)
        assert (up - down) / 2e-6 == pytest.approx(wanted, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("shape", [(T, B), (T, B, 4)])
@pytest.mark.parametrize("name", STACKS)
def test_gradients(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    model = model_of(STACKS[name])
    assert model.signals == ("dt",)
    params = model.init(rng=1, dtype="float64")
    batch = batch_of(rng, rng.uniform(0.1, 1.0, shape))
    slopes(model, params, batch, model.differentiate(params, batch)[2], rng)


def test_lengths_and_resets(rng: np.random.Generator) -> None:
    """Gaps beyond the length of a sequence are not read, whatever stands there."""
    model = model_of(STACKS["elman and two liquid"])
    params, lengths = model.init(dtype="float64"), np.array([T, 2, 3])
    batch = batch_of(rng, lengths=lengths, reset=rng.random((T, B)) < 0.4)
    loss, _, grads = model.differentiate(params, batch)
    slopes(model, params, batch, grads, rng)
    assert (grads.signals["dt"][2:, 1] == 0).all()
    dt = batch.signals["dt"].copy()
    dt[2:, 1] = np.nan
    assert model.loss(params, batch._replace(signals={"dt": dt})) == loss


def test_a_batch_is_its_sequences(rng: np.random.Generator) -> None:
    model, batch = model_of(STACKS["cfc"]), batch_of(rng)
    params = model.init(dtype="float64")
    one = lambda b: model.loss(
        params, (batch.inputs[:, [b]], batch.targets[:, [b]], None, None, None, {"dt": batch.signals["dt"][:, [b]]})
    )  # fmt: skip
    assert model.loss(params, batch) == pytest.approx(np.mean([one(b) for b in range(B)]), rel=1e-12)
    other = batch._replace(signals={"dt": 2 * batch.signals["dt"]})
    assert abs(model.loss(params, other) - model.loss(params, batch)) > 1e-4


def test_training_resumes_with_the_same_numbers(tmp_path: pathlib.Path, rng: np.random.Generator) -> None:
    model = model_of(STACKS["cfc"], dropout=0.0)
    data = [batch_of(rng) for _ in range(3)]
    options: dict[str, Any] = {
        "optimizer": training.adam(), "learning_rate": 0.05, "validation": data[:1], "validate_every": 2,
    }  # fmt: skip
    start, path = model.init(dtype="float64"), tmp_path / "run.npz"
    whole = training.fit(model, start, data, updates=8, **options)
    training.fit(model, start, data, updates=4, checkpoint=path, **options)
    rest = training.fit(model, start, data, updates=8, checkpoint=path, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(rest.params)[0], rd.ravel(whole.params)[0])
    np.testing.assert_array_equal(rest.history["loss"], whole.history["loss"])
    assert whole.history.validation["loss"][-1] == training.evaluate(model, whole.params, data[:1])
    assert whole.history["loss"][-1] < whole.history["loss"][1]
    saved = training.load_checkpoint(path).params
    assert model.loss(saved, data[0]) == model.loss(whole.params, data[0])
    with refused("model", "checkpoint"):
        training.fit(model_of([cells.cfc()]), start, data, updates=9, checkpoint=path, resume=True, **options)


def test_a_diagnosis(rng: np.random.Generator) -> None:
    model = model_of(STACKS["cfc"])
    params = model.init(dtype="float64")
    found = rd.diagnose(model, batch_of(rng), params=params, validation=batch_of(rng))
    assert found.verdict
    with refused("signals", "'dt'"):
        rd.diagnose(model, batch_of(rng)._replace(signals=None), params=params)


def test_streaming_a_trained_network(rng: np.random.Generator) -> None:
    """Sample by sample, each with the time since the one before, as in the loop of a robot."""
    model, batch = model_of(STACKS["cfc"]), batch_of(rng)
    params = model.init(dtype="float64")
    step, state = rd.stepper(model.cells[0], model.cell_params(params)[0]), {"h": np.zeros(4)}
    for x, dt in zip(batch.inputs[:, 0], batch.signals["dt"][:, 0]):
        state = step(x, state, signals={"dt": float(dt)})
    run = model.run(params, batch)
    np.testing.assert_allclose(state["h"][0], run.final[0]["h"][0], rtol=1e-12)


def test_truncated_gradients(rng: np.random.Generator) -> None:
    """A window over all steps gives the whole gradient, a shorter one that of its windows."""
    cell, x, dt = cells.ltc(dt=None), rng.standard_normal((6, B, 2)), rng.uniform(0.1, 1.0, (6, B))
    params, d = cell.init(2, 4, rng, "float64"), rng.standard_normal((6, B, 4))
    whole = rd.backward(rd.forward(cell, params, x, signals={"dt": dt}), d)
    far = rd.gradients.truncated_bptt(cell, params, x, d, window=6, stride=2, signals={"dt": dt})
    for name, value in whole.params.items():
        np.testing.assert_allclose(far.params[name], value, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(far.signals["dt"], whole.signals["dt"], rtol=1e-10, atol=1e-13)
    halves = rd.gradients.truncated_bptt(cell, params, x, d, window=3, stride=3, signals={"dt": dt})
    middle = rd.forward(cell, params, x[:3], signals={"dt": dt[:3]}).final
    second = rd.backward(rd.forward(cell, params, x[3:], initial=middle, signals={"dt": dt[3:]}), d[3:])
    np.testing.assert_allclose(halves.signals["dt"][3:], second.signals["dt"], rtol=1e-10, atol=1e-13)
    for signals, words in (
        (None, r"signals must have 'dt' of shape \(6, 3\), .* cell .*liquid.* reads it; came none"),
        ({"dt": dt[:5]}, r"signals must have 'dt' of shape \(6, 3\), .*; came \(5, 3\)"),
        ({"gap": dt}, "signals must have no keys but dt; came 'gap'"),
    ):
        with pytest.raises(ValueError, match=words):
            rd.gradients.truncated_windows(cell, params, x, d, window=3, stride=3, signals=signals)


BAD: dict[str, tuple[type[Exception], str, Any]] = {
    "missing": (ValueError, "signals must have 'dt', which cell .*irregular steps.* reads; came none", None),
    "unknown": (ValueError, "signals must have no keys but dt; came 'gap'", {"gap": np.ones((T, B))}),
    "no mapping": (TypeError, "signals must be a dict of arrays; came ndarray", np.ones((T, B))),
    "shape": (ValueError, r"signals\['dt'\] must have shape \(5, 3\) or \(5, 3, 4\); came \(5,\)", {"dt": np.ones(T)}),
    "of more steps": (ValueError, r"signals\['dt'\] must have shape .*; came \(6, 3\)", {"dt": np.ones((T + 1, B))}),
    "dtype": (TypeError, r"signals\['dt'\] must have dtype float64, as", {"dt": np.ones((T, B), "float32")}),
    "nan": (
        ValueError, r"signals\['dt'\] must be finite; came nan at index \(1, 2\)",
        {"dt": np.where(np.arange(T * B).reshape(T, B) == 5, np.nan, 1.0)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_refuses(what: str, rng: np.random.Generator) -> None:
    error, words, signals = BAD[what]
    model = model_of(STACKS["ctrnn"])
    batch, params = batch_of(rng)._replace(signals=signals), model.init(dtype="float64")
    with pytest.raises(error, match=words):
        model.loss_and_grad(params, batch)
    with pytest.raises(error, match=words):
        training.evaluate(model, params, [batch])
    with pytest.raises(error, match=words):
        training.fit(model, params, [batch], updates=1, optimizer=training.adam(), learning_rate=0.1)


def test_refuses_signals_that_nothing_reads(rng: np.random.Generator) -> None:
    model = model_of([cells.elman()])
    assert model.signals == ()
    with refused("signals", came="'dt'"):
        model.loss(model.init(dtype="float64"), batch_of(rng))
    several = Model([cells.cfc(dt=None)] * 2, [4, 5], input_size=2, output_size=2, loss="mean_squared_error")
    with refused("signals['dt']", ("(5, 3)", "(5, 3, 5)")):
        several.loss(several.init(dtype="float64"), batch_of(rng, np.ones((T, B, 4))))
    writer = Model(cells.cfc(dt=None), 4, vocabulary_size=3)
    with refused("model", came="dt"):
        generate(writer, writer.init(), [0], 3)


def test_private_noise_is_a_signal_of_each_unit(rng: np.random.Generator) -> None:
    """Without it the noisy network is the continuous-time network; with it training and predictions see it."""

    def update(drive: Any, state: Any, signal: Any) -> Any:
        return {"h": state.h + 0.2 * (drive.n(rd.equations.tanh(state.h)) + signal.noise - state.h)}

    noisy = cells.Cell("noisy", state=("h",), drives=("n",), signals=("noise",), update=update)
    model, plain = model_of([noisy]), model_of([cells.ctrnn(dt=0.2)])
    params = model.init(rng=1)
    x, targets = rng.standard_normal((2, T, B, 2)).astype("float32")
    silent = {"noise": np.zeros((T, B, 4), "float32")}
    expected = plain.predict(params, x)
    np.testing.assert_allclose(model.predict(params, x, signals=silent), expected, atol=1e-6)
    source = WithNoise([(x, targets)], signals={"noise": (0.5, 4)}, seed=1)
    drawn = source.batch(0)
    assert np.abs(model.predict(params, x, signals=drawn.signals) - expected).max() > 0.01
    result = training.fit(model, params, source, optimizer=training.sgd(), learning_rate=0.1, updates=3)
    assert result.history["loss"][0] == model.loss(params, drawn)
