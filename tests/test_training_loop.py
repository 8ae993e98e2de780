"""The training loop: what it computes, when it stops, and that a resumed run is the same run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import training
from recurrent_dynamics.data import Streams
from recurrent_dynamics.nn import Batch, Model
from recurrent_dynamics.training import loop
from recurrent_dynamics.training.tree import named_leaves

SCRIPT = Path(__file__).with_name("train_in_a_process.py")


def small_model(dropout=0.0):
    return Model([rd.cells.lstm(), rd.cells.lstm()], hidden_size=8, vocabulary_size=5, dropout=dropout)


def streams(length=401, **options):
    return Streams(
        np.random.default_rng(0).integers(0, 5, length), **({"batch_size": 4, "window": 10} | options)
    )


def fit(model=None, data=None, **options):
    model = model or small_model()
    defaults = {"optimizer": training.adam(), "learning_rate": 0.01, "updates": 12}
    if "epochs" in options:
        del defaults["updates"]
    return training.fit(model, model.init(), data or streams(), **(defaults | options))


def assert_same(a, b):
    np.testing.assert_array_equal(rd.ravel(a.params)[0], rd.ravel(b.params)[0])
    columns = [c for c in a.history.training.columns if c != "seconds"]
    for column in columns:
        np.testing.assert_array_equal(a.history[column], b.history[column])
    for column in ("update", "loss"):
        np.testing.assert_array_equal(a.history.validation[column], b.history.validation[column])


def test_it_learns_and_records_every_update():
    text = np.arange(401) % 5
    result = fit(data=streams(), epochs=2, learning_rate=0.02)
    assert result.update == len(result.history) == 20
    held_out = [(text[:20, None], text[1:21, None])]
    result = fit(data=Streams(text, 4, 10), updates=80, learning_rate=0.03, validation=held_out)
    assert result.history["loss"][-1] < 0.1
    assert result.history.validation["update"].tolist() == [10, 20, 30, 40, 50, 60, 70, 80]
    assert result.history["epoch"][9] == 1
    assert result.stopped_by == "updates"
    best = training.evaluate(small_model(), result.best_params, held_out)
    assert best == result.history.validation["loss"].min()


def test_a_step_is_what_it_says(rng):
    """One update of plain descent, done by hand."""
    model, data = small_model(), streams()
    params = model.init()
    result = fit(model, data, optimizer=training.sgd(), learning_rate=0.5, clip_norm=0.01, l2=0.1, updates=1)
    _, grads = model.loss_and_grad(params, data.batch(0))
    vector = rd.ravel(params)[0]
    gradient = rd.ravel(grads)[0] + np.float32(0.1) * vector
    norm = np.linalg.norm(gradient)
    np.testing.assert_allclose(rd.ravel(result.params)[0], vector - 0.5 * gradient * 0.01 / norm, atol=1e-6)
    row = {c: result.history[c][0] for c in result.history.training.columns}
    assert row["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert row["clipped_norm"] == pytest.approx(0.01)
    assert row["update_norm"] == pytest.approx(0.005, rel=1e-4)
    assert row["learning_rate"] == 0.5
    np.testing.assert_array_equal(vector, rd.ravel(model.init())[0])


def test_the_state_is_carried_and_starts_anew_with_an_epoch():
    model, data = small_model(), streams()
    seen = []
    fit(model, data, callback=lambda state: seen.append(state), updates=11)
    first = model.forward(model.init(), data.batch(0).inputs)
    np.testing.assert_array_equal(seen[0].carry[1]["c"], first.final[1]["c"])
    loss = model.loss(seen[0].params, data.batch(1), first.final)
    assert seen[1].history["loss"][1] == loss
    assert seen[10].history["loss"][10] == model.loss(seen[9].params, data.batch(0))


def test_windows_that_overlap_carry_the_state_from_where_they_begin():
    model, data = small_model(), streams(window=10, stride=4)
    seen = []
    fit(model, data, callback=seen.append, updates=2)
    run = model.forward(model.init(), data.batch(0).inputs)
    np.testing.assert_array_equal(seen[0].carry[0]["h"], run.runs[0].states["h"][3])
    assert seen[1].history["loss"][1] == model.loss(seen[0].params, data.batch(1), seen[0].carry)


def test_evaluation_weighs_every_loss_alike(rng):
    model, params = small_model(), small_model().init(dtype="float64")
    text = rng.integers(0, 5, 96)
    whole = Streams(text, batch_size=1, window=95)
    parts = Streams(text, batch_size=1, window=10, partial=True)
    overlapping = Streams(text, batch_size=1, window=10, stride=4, partial=True)
    losses = [training.evaluate(model, params, s) for s in (whole, parts, overlapping)]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-12)


@pytest.mark.parametrize("stop_at", [1, 10, 13])
def test_a_resumed_run_is_the_same_run(tmp_path, stop_at):
    """With dropout, momentum and validation; the state is carried over the cut."""
    model, path = small_model(dropout=0.3), tmp_path / "run.npz"
    options = {"validation": streams(101), "validate_every": 5, "optimizer": training.rmsprop(momentum=0.5)}
    whole = fit(model, updates=25, **options)
    early = fit(model, updates=stop_at, checkpoint=path, **options)
    # A run of fewer updates validates its last one, which the long one does not.
    early.history.validation.cut(stop_at // 5 * 5)
    training.save_checkpoint(path, replace_history(path, early.history))
    resumed = fit(model, updates=25, checkpoint=path, resume=True, rng=99, **options)
    assert_same(whole, resumed)
    assert (np.diff(resumed.history["seconds"]) >= 0).all()


def replace_history(path, history):
    from dataclasses import replace

    return replace(training.load_checkpoint(path), history=history)


def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    path = tmp_path / "run.npz"

    class Interrupted(Streams):
        def batch(self, number):
            if number == 7:
                raise KeyboardInterrupt
            return super().batch(number)

    text = np.random.default_rng(0).integers(0, 5, 401)
    stopped = fit(data=Interrupted(text, 4, 10), checkpoint=path)
    assert stopped.interrupted
    assert stopped.update == len(stopped.history) == 7
    assert_same(fit(data=Streams(text, 4, 10)), fit(data=Streams(text, 4, 10), checkpoint=path, resume=True))


@pytest.mark.parametrize("place", ["optimizer", "validation", "callback"])
def test_ctrl_c_anywhere_leaves_whole_updates(place):
    calls = 0

    def interrupt():
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    class Data(Streams):
        def batch(self, number):
            if place == "validation":
                interrupt()
            return super().batch(number)

    adam = training.adam()
    optimizer = training.Optimizer(
        adam.init, lambda *a: (interrupt() if place == "optimizer" else None, adam.update(*a))[1]
    )
    result = fit(
        optimizer=optimizer,
        validation=Data(np.zeros(41, int), 4, 10),
        validate_every=1,
        callback=(lambda state: interrupt()) if place == "callback" else None,
    )
    assert result.interrupted
    assert result.update == {"optimizer": 3, "validation": 3, "callback": 4}[place]
    assert len(result.history) == len(result.history.validation) == result.update


def test_minutes_and_early_stopping_end_it():
    result = fit(updates=None, minutes=0.002)
    assert result.stopped_by == "minutes"
    assert result.update >= 1
    noise = streams()
    rule = training.EarlyStopping(patience=2, min_delta=10.0)
    result = fit(updates=1000, validation=noise, validate_every=3, early_stopping=rule)
    assert result.stopped_by == "early stopping"
    assert result.update == 9


def test_a_loss_that_is_not_finite_stops_it(tmp_path):
    path = tmp_path / "run.npz"
    x = np.ones((4, 2, 1), np.float32)
    model = Model(rd.cells.lstm(), hidden_size=3, input_size=1, output_size=1, loss="mean_squared_error")
    batches = [Batch(x, x)] * 3 + [Batch(x, x * np.float32(1e30))]
    # The fourth step throws the weights so far that the gradient of the fifth overflows.
    message = r"update 5: the gradient .* is not finite; lower the learning rate \(now 0\.1\), or clip"
    with pytest.raises(training.DivergenceError, match=message) as error:
        training.fit(
            model, model.init(), batches, optimizer=training.sgd(), learning_rate=0.1, updates=9,
            checkpoint=path, checkpoint_every=1,
        )  # fmt: skip
    assert error.value.update == 5
    assert len(error.value.history) == training.load_checkpoint(path).update == 4


def test_a_loss_that_is_not_a_number_is_named():
    model = small_model()
    params = model.init()
    params["layers"]["1"]["b"][:] = 50.0  # h is nearly 1, and the logits overflow
    params["readout"]["W"][:] = 3e38
    with pytest.raises(training.DivergenceError, match="update 1: the loss became nan; lower"):
        training.fit(
            model, params, streams(), optimizer=training.sgd(), learning_rate=0.1, updates=9, clip_norm=1
        )


def test_parameters_to_start_from_must_be_finite(tmp_path):
    params = small_model().init()
    params["layers"]["1"]["b"][3] = np.inf
    path = tmp_path / "run.npz"
    with refused("params['layers/1/b']", "be finite", "inf at index (3,)"):
        training.fit(
            small_model(), params, streams(), optimizer=training.sgd(), learning_rate=0.1, updates=1,
            checkpoint=path,
        )  # fmt: skip
    assert not path.exists()


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_first_update(tmp_path):
    class Unused(Streams):
        def batch(self, number):
            raise AssertionError("nothing is computed")

    for path, message in (
        (tmp_path / "missing" / "run.npz", "cannot write: No such file"),
        (tmp_path, "cannot write: Is a directory"),
    ):
        with pytest.raises(OSError, match=message):
            fit(data=Unused(np.arange(201) % 5, 4, 10), checkpoint=path)


def test_a_checkpoint_that_cannot_be_written_later_keeps_the_result(tmp_path, monkeypatch):
    path, save = tmp_path / "run.npz", loop.save_checkpoint

    def full_disk(path, state):
        if state.update:
            raise OSError(28, "cannot write: No space left on device", str(path))
        save(path, state)

    monkeypatch.setattr(loop, "save_checkpoint", full_disk)
    with pytest.warns(RuntimeWarning, match="checkpoint of update 5 was not written: .*No space left"):
        result = fit(updates=5, checkpoint=path)
    assert_same(fit(updates=5), result)
    assert training.load_checkpoint(path).update == 0


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (training.adam, wrong_type("optimizer", came="the function adam, which makes one: call it, adam()")),
        ("adamm", Refusal("optimizer", "be one of sgd, rmsprop, adam, adamw", "'adamm'")),
        (0.1, wrong_type("optimizer", "be an Optimizer", "float")),
        (training.Optimizer, wrong_type("optimizer", "be an Optimizer", "type")),
    ],
)
def test_what_is_no_optimizer_is_named(optimizer, message):
    with refused(message):
        fit(optimizer=optimizer)


def test_an_optimizer_is_known_by_its_name():
    assert_same(fit(updates=3, optimizer="rmsprop"), fit(updates=3, optimizer=training.rmsprop()))


def test_parameters_are_left_as_they_came():
    params = small_model().init()
    before = {name: a.copy() for name, a in named_leaves(params)}
    result = training.fit(
        small_model(), params, streams(), optimizer=training.adam(), learning_rate=0.1, updates=3
    )
    for name, a in named_leaves(params):
        np.testing.assert_array_equal(a, before[name])
    assert not any(
        np.shares_memory(a, b)
        for (_, a), (_, b) in zip(named_leaves(params), named_leaves(result.params), strict=True)
    )


def test_checkpoints_are_refused_when_they_do_not_belong(tmp_path):
    path = tmp_path / "run.npz"
    fit(checkpoint=path, updates=1, extra={"note": "kept"})
    assert training.load_checkpoint(path).extra == {"note": "kept"}
    other = Model([rd.cells.lstm(), rd.cells.lstm()], hidden_size=4, vocabulary_size=5)
    with refused("params", came="others"):
        fit(other, checkpoint=path, resume=True)
    with refused("batches_per_epoch", "10", "5"):
        fit(data=streams(201), checkpoint=path, resume=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        fit(checkpoint=tmp_path / "none.npz", resume=True)
    with refused("optimizer", "run.npz"):
        fit(checkpoint=path, resume=True, optimizer="rmsprop")
    state = training.load_checkpoint(path)
    assert repr(rd.cells.leaky(0.9)).endswith("alpha=0.9)")
    training.save_checkpoint(
        path, replace(state, settings=state.settings | {"cells": repr(rd.cells.leaky(0.9))})
    )
    with refused("cells", ("'leaky'", "0.9"), "Cell('lstm'"):
        fit(checkpoint=path, resume=True)


def test_a_history_iterates_over_its_columns():
    history = training.History.with_metrics(["accuracy"])
    assert list(history)[:3] == ["update", "epoch", "loss"]
    assert list(history.validation) == ["update", "epoch", "loss", "seconds", "accuracy"]
    assert "grad_norm" in history
    assert "accuracy" not in history


def test_history_goes_to_csv_and_back(tmp_path):
    result = fit(validation=streams(101), validate_every=5)
    path = tmp_path / "history.csv"
    result.history.write_csv(path)
    back = training.History.read_csv(path)
    assert back == result.history
    assert path.read_text().startswith("kind,update,epoch,loss,grad_norm")
    path.write_text(path.read_text() + "training,broken\n")
    with refused(
        f"line 17 of {path}",
        "be a row of a history",
        "['training', 'broken']",
    ):
        training.History.read_csv(path)
    path.write_text("a,b\n")
    with refused(str(path), came="a, b"):
        training.History.read_csv(path)


def test_the_bar_shows_bits_and_speed(capsys):
    fit(progress=True, updates=3)
    shown = capsys.readouterr().err
    assert "bits, |grad|" in shown
    assert "symbols/s" in shown
    fit(updates=3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"updates": None}, Refusal("updates, epochs or minutes", came="none")),
        ({"updates": 2, "epochs": 1.0}, Refusal("either updates or epochs", came="both")),
        ({"updates": 0}, Refusal("updates", "1", "0")),
        ({"updates": 1.5}, Refusal("updates", "1", "1.5")),
        ({"updates": None, "epochs": 0.01}, Refusal("epochs", ("1", "10"), "0.01")),
        ({"minutes": 0}, Refusal("minutes", "0", "0")),
        ({"resume": True}, Refusal("checkpoint", came="None")),
        ({"checkpoint_every": 3}, Refusal("checkpoint", came="None")),
        ({"validate_every": 3}, Refusal("validation", came="None")),
        ({"early_stopping": training.EarlyStopping()}, Refusal("validation", came="None")),
        ({"learning_rate": 0.0}, Refusal("learning_rate", "0", "0.0")),
        ({"clip_norm": 0.0}, Refusal("clip_norm", "0", "0.0")),
        ({"l2": -1.0}, Refusal("l2", "0", "-1.0")),
        ({"rng": np.random.Generator(np.random.MT19937(0))}, Refusal("rng", came="one on MT19937")),
    ],
)
def test_errors_name_the_argument(options, refusal):
    model = small_model()
    arguments = {"optimizer": training.adam(), "learning_rate": 0.1, "updates": 1} | options
    with refused(refusal):
        training.fit(model, model.init(), streams(), **arguments)


def test_data_of_another_kind_is_refused():
    with refused(wrong_type("data", came="tuple")):
        fit(data=(np.zeros((2, 2), int), np.zeros((2, 2), int)))
    with refused("data", came="empty list"):
        training.BatchList([])


def start(path, environment):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_killed_run_resumes_bit_for_bit(tmp_path, clean_environment):
    """SIGKILL at random moments after the first checkpoint, until it ends; compared with a run left alone."""
    environment = clean_environment | {"NUMBA_NUM_THREADS": "1"}  # as fast as it gets for so small a model
    alone = start(tmp_path / "alone.npz", environment)
    _, errors = alone.communicate(timeout=300)
    assert alone.returncode == 0, errors.decode()
    path, kills = tmp_path / "killed.npz", 0
    delays = np.random.default_rng().uniform(0, 0.1, 3)
    while True:
        process = start(path, environment)
        if kills < len(delays):
            before = path.stat().st_mtime_ns if path.exists() else 0
            while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == before):
                time.sleep(0.005)
            time.sleep(delays[kills])
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, errors = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors.decode()
    assert kills == len(delays)
    with np.load(tmp_path / "alone.npz") as expected, np.load(path) as got:
        assert sorted(expected.files) == sorted(got.files)
        for name in expected.files:
            a, b = expected[name], got[name]
            if name.startswith("history/"):
                a, b = a[:, :-1], b[:, :-1]  # the last column is the time that it took
            if name == "checkpoint":
                assert json.loads(str(a)) == json.loads(str(b))
            else:
                np.testing.assert_array_equal(a, b, err_msg=name)
