"""Encoder and decoder: values and gradients against plain NumPy and PyTorch, lengths, what is read in training."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
from layer_checks import dot, drawn_like, moved
from refusals import refused, wrong_type
from seq2seq_models import (
    BATCH,
    BEGIN,
    CLASSES,
    END,
    GRU,
    LSTM,
    RAGGED,
    both,
    models,
    pairs,
    plain_loss,
    reader,
)

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training

MODELS = models()


@pytest.mark.parametrize("lengths", [{}, RAGGED], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_against_slopes(name, lengths, rng):
    """Along a random direction in all parameters, and in a real source."""
    model = MODELS[name]
    params, batch = model.init(rng=1, dtype="float64"), pairs(model, rng, **lengths)
    loss, run, grads = model.differentiate(params, batch)
    assert loss == model.loss(params, batch)
    assert run.own is None
    direction = drawn_like(params, rng)
    up, down = (model.loss(moved(params, direction, h), batch) for h in (1e-6, -1e-6))
    assert dot(grads.params, direction) == pytest.approx((up - down) / 2e-6, rel=1e-7, abs=1e-8)
    if batch.source.dtype.kind == "f":
        direction = rng.standard_normal(batch.source.shape)
        moves = [
            nn.Pairs(batch.source + h * direction, batch.target, **lengths_of(batch)) for h in (1e-6, -1e-6)
        ]
        up, down = (model.loss(params, moves[i]) for i in (0, 1))
        d_source = grads.source.reshape(batch.source.shape)
        assert np.vdot(d_source, direction) == pytest.approx((up - down) / 2e-6, rel=1e-7, abs=1e-8)
    else:
        assert grads.source is None


def lengths_of(batch):
    return {name: getattr(batch, name) for name in ("source_lengths", "target_lengths")}


@pytest.mark.parametrize("lengths", [{}, RAGGED], ids=["whole", "ragged"])
def test_gradients_by_complex_step(lengths, rng):
    model = MODELS["dense"]
    params, batch = model.init(rng=2, dtype="float64"), pairs(model, rng, **lengths)
    loss, grads = model.loss_and_grad(params, batch)
    assert loss == pytest.approx(plain_loss(params, batch), rel=1e-13)
    vector, _unravel = rd.ravel(params)
    found, exact = rd.ravel(grads)[0], np.empty(len(vector))
    for i in range(len(vector)):
        moved = vector.astype(complex)
        moved[i] += 1e-30j
        exact[i] = plain_loss(complex_tree(params, moved), batch).imag / 1e-30
    assert np.abs(found - exact).max() < 1e-9 * np.abs(exact).max()


def complex_tree(params, vector):
    real, imaginary = (rd.ravel(params)[1](part) for part in (vector.real.copy(), vector.imag.copy()))

    def together(a, b):
        return {k: together(a[k], b[k]) for k in a} if hasattr(a, "items") else a + 1j * b

    return together(real, imaginary)


@pytest.mark.parametrize("name", ["dense", "every step", "numbers"])
def test_the_way_back_is_the_adjoint_of_the_way_there(name, rng):
    """<v, J u> = <J^T v, u> with J u by central differences of the outputs."""
    model = MODELS[name]
    params, batch = model.init(rng=3, dtype="float64"), pairs(model, rng, **RAGGED)
    run = model.run(params, batch)
    u, v = drawn_like(params, rng), rng.standard_normal(run.output.shape)
    up, down = (model.run(moved(params, u, h), batch).output for h in (1e-6, -1e-6))
    assert dot(model.backward(run, v).params, u) == pytest.approx(np.vdot(v, (up - down) / 2e-6), rel=1e-7)


@pytest.mark.parametrize("name", [name for name in MODELS if "attention" in name])
def test_the_ways_into_the_encoder_add_up(name, rng):
    model = MODELS[name]
    params, batch = model.init(rng=3, dtype="float64"), pairs(model, rng, **RAGGED)
    run = model.run(params, batch)
    d = rng.standard_normal(run.output.shape)
    whole, start, attention = (model.backward(run, d, through=way) for way in ("all", "start", "attention"))
    for part in ("encoder", "memory", "start"):
        if part in params:
            parts = [rd.ravel(found.params[part])[0] for found in (whole, start, attention)]
            np.testing.assert_allclose(parts[0], parts[1] + parts[2], rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(rd.ravel(whole.params["decoder"])[0], rd.ravel(start.params["decoder"])[0])
    assert not rd.ravel(start.params["memory"])[0].any()
    if "start" in params:
        assert not rd.ravel(attention.params["start"])[0].any()
        assert rd.ravel(start.params["encoder"])[0].any()


def test_a_way_that_is_none_is_named(rng):
    model = MODELS["dense"]
    run = model.run(model.init(dtype="float64"), pairs(model, rng))
    with refused("through", "one of"):
        model.backward(run, None, through="memory")
    with refused("through", "without attention"):
        model.backward(run, None, through="attention")


@pytest.mark.parametrize("cell", [LSTM, GRU], ids=["lstm", "gru"])
def test_parity_with_pytorch(cell, rng):
    """A bidirectional encoder over ragged sources, a linear map of its final states, a decoder: all gradients."""
    torch = pytest.importorskip("torch")
    model = nn.encoder_decoder(
        reader(both(cell, 3)), nn.recurrent(cell, 5), classes=CLASSES, begin=BEGIN, end=END
    )
    params = model.init(rng=4, dtype="float64")
    lengths = {"source_lengths": np.array([5, 2, 1, 4]), "target_lengths": np.array([3, 0, 1, 2])}
    batch = pairs(model, rng, **lengths)
    loss, grads = model.loss_and_grad(params, batch)

    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell.name]
    encoder, decoder = kind(4, 3, bidirectional=True).double(), kind(6, 5).double()
    size = model.embedding_size
    decoder = kind(size, 5).double()
    tensors = {}

    def given(tree, path=""):
        for key, value in tree.items():
            if hasattr(value, "items"):
                given(value, f"{path}{key}/")
            else:
                tensors[f"{path}{key}"] = torch.tensor(value, requires_grad=True)

    given(params)

    def weights(path, reverse=""):
        p = {key.rpartition("/")[2]: t for key, t in tensors.items() if key.startswith(path)}
        zeros = torch.zeros_like(p["b"])
        hidden = torch.cat([zeros[: -len(p["b_h"])], p["b_h"]]) if "b_h" in p else zeros
        found = {"weight_ih": p["W"], "weight_hh": p["U"], "bias_ih": p["b"], "bias_hh": hidden}
        return {f"{name}_l0{reverse}": t for name, t in found.items()}

    call = torch.func.functional_call
    source = tensors["encoder/0/table"][torch.tensor(batch.source)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        source, torch.tensor(lengths["source_lengths"]), enforce_sorted=False
    )
    both_ways = weights("encoder/1/forward") | weights("encoder/1/backward", "_reverse")
    _, final = call(encoder, both_ways, (packed,))
    final = final if cell.name == "lstm" else (final,)
    summary = torch.cat([part[d] for d in (0, 1) for part in final], dim=1)
    start = summary @ tensors["start/W"].T + tensors["start/b"]
    start = tuple(part[None].contiguous() for part in start.split(5, dim=1))
    forced = model._forced(batch, BATCH, None)
    y, _ = call(
        decoder, weights("decoder"), (tensors["embedding/table"][torch.tensor(forced.fed)],
        start if cell.name == "lstm" else start[0])
    )  # fmt: skip
    logits = y @ tensors["readout/W"].T + tensors["readout/b"]
    within = torch.tensor(forced.weights)
    expected = torch.nn.functional.cross_entropy(logits[within], torch.tensor(forced.targets)[within])
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for path, a in training.tree.named_leaves(grads):
        np.testing.assert_allclose(a, tensors[path].grad.numpy(), rtol=1e-9, atol=1e-13, err_msg=path)


@pytest.mark.parametrize("name", ["dense", "copy", "every step", "numbers every step"])
def test_a_batch_is_its_members(name, rng):
    """Outputs are those of each pair alone, cut to its lengths; gradients are the means by the weights."""
    model = MODELS[name]
    params, batch = model.init(rng=5, dtype="float64"), pairs(model, rng, **RAGGED)
    run, grads = model.run(params, batch), model.loss_and_grad(params, batch)[1]
    total, weight = moved(grads, grads, -1), 0.0
    for b in range(BATCH):
        s, t = RAGGED["source_lengths"][b], RAGGED["target_lengths"][b]
        alone = nn.Pairs(batch.source[: max(s, 1), b : b + 1], batch.target[: max(t, 1), b : b + 1], [s], [t])
        if model.alphabet is None and t == 0:
            continue
        found = model.run(params, alone).output[: t + (model.alphabet is not None), 0]
        np.testing.assert_allclose(run.output[: len(found), b], found, rtol=1e-12, atol=1e-14)
        assert not run.output[len(found) :, b].any()
        total = moved(total, model.loss_and_grad(params, alone)[1], len(found))
        weight += len(found)
    np.testing.assert_allclose(rd.ravel(grads)[0], rd.ravel(total)[0] / weight, rtol=1e-9, atol=1e-14)


def test_what_is_beyond_the_lengths_is_not_read(rng):
    model = MODELS["numbers to classes"]
    params, batch = model.init(rng=6), pairs(model, rng, **RAGGED)
    source, target = batch.source.astype("float32"), batch.target.copy()
    for b in range(BATCH):
        source[RAGGED["source_lengths"][b] :, b] = np.nan
        target[RAGGED["target_lengths"][b] :, b] = (END, -1, 99)[b % 3]
    clean, dirty = (
        model.loss_and_grad(params, nn.Pairs(s, t, **RAGGED))
        for s, t in ((batch.source.astype("float32"), batch.target), (source, target))
    )
    assert clean[0] == dirty[0]
    np.testing.assert_array_equal(rd.ravel(clean[1])[0], rd.ravel(dirty[1])[0])


@pytest.mark.parametrize("name", ["dense", "copy and every step", "numbers"])
def test_single_precision_and_threads(name, rng):
    model = MODELS[name]
    params, batch = model.init(rng=7, dtype="float64"), pairs(model, rng, **RAGGED)
    small = {k: training.tree.map_leaves(lambda a: a.astype("float32"), v) for k, v in params.items()}
    narrow = nn.Pairs(*(a.astype("float32") if getattr(a, "dtype", None) == np.float64 else a
                        for a in vars(batch).values()))  # fmt: skip
    loss, grads = model.loss_and_grad(params, batch)
    one, two = [], []
    for threads, found in ((1, one), (2, two)):
        numba.set_num_threads(threads)
        value, g = model.loss_and_grad(small, narrow)
        found += [value, rd.ravel(g)[0]]
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1], two[1])
    assert one[1].dtype == np.float32
    np.testing.assert_allclose(one[0], loss, rtol=1e-5)
    np.testing.assert_allclose(one[1], rd.ravel(grads)[0], rtol=1e-3, atol=1e-5)


def fed_by(feeding, name="copy"):
    return nn.EncoderDecoder(**{**arguments(MODELS[name]), "feeding": feeding})


def arguments(model):
    a = model.alphabet
    classes, begin, end = (None, None, None) if a is None else (a.classes, a.begin, a.end)
    return {
        "encoder": model.encoder, "decoder": model.decoder, "classes": classes, "begin": begin, "end": end,
        "output_size": model.output_size if a is None else None,
        "embedding_size": None if a is None else model.embedding_size, "start": model.start,
        "summary": model.summary, "every_step": model.every_step, "feeding": None,
    }  # fmt: skip


def test_a_ratio_of_one_is_teacher_forcing_to_the_bit(rng):
    """With dropout too: no coin is tossed that would move the generator on."""
    batch = pairs(MODELS["copy"], rng, **RAGGED)
    params = MODELS["copy"].init(rng=8)
    forced, sampled = (
        fed_by(feeding).differentiate(params, batch, None, np.random.default_rng(3))
        for feeding in (nn.teacher_forcing(), nn.scheduled_sampling(1.0))
    )
    assert forced[0] == sampled[0]
    np.testing.assert_array_equal(rd.ravel(forced[2].params)[0], rd.ravel(sampled[2].params)[0])
    evaluated = fed_by(nn.free_running()).loss(params, batch)
    assert evaluated == MODELS["copy"].loss(params, batch)  # without a generator the target is read


def long_pairs(model, rng, steps=12, size=50):
    source = rng.integers(0, 6, (4, size))
    lengths = np.where(rng.random(size) < 0.5, steps, rng.integers(0, steps, size))
    return nn.Pairs(source, rng.integers(2, CLASSES, (steps, size)), None, lengths), lengths


def test_a_coin_is_tossed_for_each_symbol(rng):
    model = fed_by(nn.scheduled_sampling(0.25, "greedy"), "dense")
    params, (batch, lengths) = model.init(rng=9, dtype="float64"), long_pairs(model, rng)
    run = model.run(params, batch, None, np.random.default_rng(4))
    forced = model._forced(batch, 50, None)
    counted = forced.weights.copy()
    counted[0] = False
    assert not run.own[~counted].any()
    share = run.own[counted].mean()
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / counted.sum())
    shares = [run.own[1:, lengths == 12].mean(axis=axis) for axis in (0, 1)]
    for mixed in shares:  # along a sequence, and along a step
        assert np.mean((mixed > 0) & (mixed < 1)) > 0.5
    np.testing.assert_array_equal(run.fed[~run.own], forced.fed[~run.own])
    # Its own symbols are the most probable ones of the same run: the prefix was the same when they were chosen.
    t, b = np.nonzero(run.own)
    np.testing.assert_array_equal(run.fed[t, b], run.output[t - 1, b].argmax(axis=-1))
    again = model.run(params, batch, None, np.random.default_rng(4))
    np.testing.assert_array_equal(run.fed, again.fed)
    other = model.run(params, batch, None, np.random.default_rng(5))
    assert (run.own != other.own).any()


def test_own_symbols_are_drawn_by_their_probabilities(rng):
    model = fed_by(nn.free_running(), "dense")
    params = model.init(rng=10, dtype="float64")
    size = 4000
    batch = nn.Pairs(np.ones((2, size), int), np.full((2, size), 3))
    run = model.run(params, batch, None, np.random.default_rng(6))
    assert run.own[1:].all()
    shares = np.exp(run.output[0, 0])
    shares /= shares.sum()
    seen = np.bincount(run.fed[1], minlength=CLASSES) / size
    assert (np.abs(seen - shares) < 4 * np.sqrt(shares * (1 - shares) / size)).all()


def test_the_gradient_takes_own_symbols_for_given(rng):
    """It is that of a run which is told these symbols."""
    model = fed_by(nn.free_running(), "without an end")
    params, batch = model.init(rng=11, dtype="float64"), pairs(model, rng)
    run = model.run(params, batch, None, np.random.default_rng(0))
    assert run.own[1:].all()
    told = nn.Pairs(batch.source, np.concatenate([run.fed[1:], run.fed[:1]]))
    u, v = drawn_like(params, rng), rng.standard_normal(run.output.shape)
    up, down = (model.run(moved(params, u, h), told).output for h in (1e-6, -1e-6))
    assert dot(model.backward(run, v).params, u) == pytest.approx(np.vdot(v, (up - down) / 2e-6), rel=1e-7)


def test_real_outputs_are_fed_back(rng):
    model = fed_by(nn.free_running(), "numbers")
    params, batch = model.init(rng=12, dtype="float64"), pairs(model, rng)
    run = model.run(params, batch, None, np.random.default_rng(0))
    np.testing.assert_allclose(run.fed[1:], run.output[:-1], rtol=1e-12)
    free = model.free_run(params, batch.source, steps=len(batch.target))
    np.testing.assert_allclose(free, run.output, rtol=1e-12)
    first = rng.standard_normal((BATCH, 2))
    begun = model.run(params, nn.Pairs(batch.source, batch.target, first=first), None, rng)
    np.testing.assert_array_equal(begun.fed[0], first)
    np.testing.assert_allclose(
        model.free_run(params, batch.source, steps=3, first=first), begun.output, rtol=1e-12
    )


def test_schedules():
    linear = nn.TeacherRatio.linear(updates=10, first=0.9, last=0.4)
    np.testing.assert_allclose([linear(n) for n in (0, 4, 10, 99)], [0.9, 0.7, 0.4, 0.4])
    sigmoid = nn.TeacherRatio.inverse_sigmoid(20.0)
    np.testing.assert_allclose([sigmoid(n) for n in (0, 60)], [20 / 21, 20 / (20 + np.exp(3))])
    assert sigmoid(10**9) < 1e-100
    assert nn.TeacherRatio.exponential(0.9)(3) == pytest.approx(0.9**3)
    assert nn.TeacherRatio.constant(0.3)(7) == 0.3
    for schedule in (linear, sigmoid, nn.TeacherRatio.exponential(0.99)):
        values = [schedule(n) for n in range(50)]
        assert all(1 >= a >= b >= 0 for a, b in itertools.pairwise(values))


def test_the_schedule_goes_by_updates(rng):
    model = fed_by(nn.scheduled_sampling(nn.TeacherRatio.linear(updates=4)), "dense")
    params, (batch, _) = model.init(rng=13), long_pairs(model, rng)
    shares = [model.at(n).run(params, batch, None, np.random.default_rng(0)).own for n in (0, 2, 4)]
    assert shares[0] is None
    assert 0 < shares[1].sum() < shares[2].sum()
    assert model.update == 0


def test_training_goes_on_from_a_checkpoint(tmp_path, rng):
    """The same numbers, as coins and symbols come from the generator that the checkpoint keeps."""
    model = fed_by(nn.scheduled_sampling(nn.TeacherRatio.linear(updates=5)))
    data = [pairs(model, rng, **RAGGED) for _ in range(2)]
    options = {"optimizer": "adam", "learning_rate": 0.01, "progress": False, "validation": data}
    whole = training.fit(model, model.init(), data, updates=6, **options)
    options["checkpoint"] = tmp_path / "half.npz"
    training.fit(model, model.init(), data, updates=3, **options)
    resumed = training.fit(model, model.init(), data, updates=6, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])
    assert whole.history.validation["loss"][-1] == pytest.approx(training.evaluate(model, whole.params, data))
    with refused("model", "linear 5"):
        training.fit(fed_by(None), model.init(), data, updates=6, resume=True, **options)


def test_evaluation_weighs_by_predictions(rng):
    model = MODELS["dense"]
    params = model.init(rng=14, dtype="float64")
    data = [pairs(model, rng, **RAGGED), pairs(model, rng)]
    found = training.measure(model, params, [data[0], vars(data[1])], ["accuracy"])
    n = [RAGGED["target_lengths"].sum() + BATCH, 4 * BATCH]
    assert found["loss"] == pytest.approx(
        np.average([model.loss(params, b) for b in data], weights=n), rel=1e-12
    )
    right = 0
    for b, batch in enumerate(data):
        c = model.compared(batch)
        hit = model.run(params, batch).output.argmax(-1) == c.targets
        right += hit[c.weights].sum() if b == 0 else hit.sum()
    assert found["accuracy"] == pytest.approx(right / sum(n))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_read_as_it_was_written(name, tmp_path, rng):
    model = fed_by(nn.scheduled_sampling(nn.TeacherRatio.inverse_sigmoid(30.0), "greedy"), name)
    params, batch = model.init(rng=15), pairs(model, rng)
    batch = nn.Pairs(*(a.astype("float32") if getattr(a, "dtype", None) == np.float64 else a
                       for a in vars(batch).values()))  # fmt: skip
    leaves = dict(training.tree.named_leaves(params))
    assert {path: a.shape for path, a in leaves.items()} == model.shapes
    nn.save(tmp_path / "model.npz", model, params, extra={"words": ["a"]})
    saved = nn.load(tmp_path / "model.npz")
    assert repr(saved.model) == repr(model)
    assert saved.model.loss(saved.params, batch) == model.loss(params, batch)
    assert saved.extra == {"words": ["a"]}
    del params["readout"]
    with pytest.raises(ValueError, match="params must hold 'readout/W'"):
        nn.save(tmp_path / "model.npz", model, params)


def test_results_say_what_they_are(rng):
    model = MODELS["dense"]
    _, run, grads = model.differentiate(model.init(), pairs(model, rng))
    assert "output" in repr(run)
    assert [ax.get_title() for ax in run.plot()] == ["encoder 1/forward", "encoder 1/backward", "decoder 1"]
    assert [ax.get_title() for ax in grads.plot()] == ["encoder", "decoder"]
    assert len(run.runs) == len(run.final) == 3


def refuse(argument, facts=(), **changes):
    with refused(argument, facts):
        nn.EncoderDecoder(**{**arguments(MODELS["dense"]), **changes})


def test_errors_of_a_model():
    refuse("either classes or output_size", classes=None)
    refuse("either classes or output_size", output_size=2)
    refuse("begin", begin=CLASSES)
    refuse("end", end=-1)
    refuse("embedding_size", embedding_size=0)
    refuse("start", start="random")
    refuse("start", "dense", start="copy")
    refuse("start", "knows nothing", start="zero")
    refuse("summary", summary="first")
    refuse("summary", "last", encoder=nn.dense(3, 4), summary="states")
    refuse("decoder", "recurrent", decoder=nn.dense(None, 4))
    refuse("decoder", "one direction", decoder=both(GRU, 3))
    refuse("decoder", "embedding", decoder=reader(nn.recurrent(GRU, 3)))
    refuse("input_size", encoder=nn.recurrent(GRU, 4))
    refuse("begin, end and embedding_size", classes=None, output_size=2)
    refuse("feeding", "free_running", feeding="free")
    with refused(wrong_type("encoder", "Layer")):
        nn.encoder_decoder(GRU, nn.recurrent(GRU, 3), classes=3)
    for make, argument in [
        (lambda: nn.TeacherRatio.constant(1.5), "ratio"), (lambda: nn.TeacherRatio.linear(0), "updates"),
        (lambda: nn.TeacherRatio.inverse_sigmoid(0.5), "k"), (lambda: nn.TeacherRatio.exponential(0), "base"),
        (lambda: nn.TeacherRatio.linear(9, first=2), "first"), (lambda: nn.scheduled_sampling(-1), "ratio"),
        (lambda: nn.scheduled_sampling(0.5, "best"), "draw"), (lambda: nn.TeacherRatio("step", 1.0), "kind"),
    ]:  # fmt: skip
        with refused(argument):
            make()


def test_errors_of_a_batch(rng):
    model, numbers = MODELS["dense"], MODELS["numbers"]
    params, real = model.init(), numbers.init()
    good = vars(pairs(model, rng))
    for argument, changes in {
        "source": {"source": np.zeros((2, 4))}, "source ": {"source": np.full((2, 4), 6)},
        "source  ": {"source": np.zeros((0, 4), int)}, "source_lengths": {"source_lengths": [1, 2]},
        "source_lengths ": {"source_lengths": [1, 2, 3, 9]}, "target": {"target": np.zeros((3, 4))},
        "target ": {"target": np.full((3, 4), CLASSES)}, "target  ": {"target": np.full((3, 4), END)},
        "target   ": {"target": np.full((3, 5), 2)}, "target    ": {"target": np.full((0, 4), 2)},
        "target_lengths": {"target_lengths": [0, 0, 0, 4]}, "first": {"first": np.zeros(3, int)},
        "first ": {"first": np.full(4, CLASSES)},
    }.items():  # fmt: skip
        with refused(argument.strip()):
            model.loss(params, good | changes)
    with refused("target_lengths", "above 0"):
        MODELS["without an end"].loss(
            MODELS["without an end"].init(), good | {"target_lengths": [0, 0, 0, 0]}
        )
    with refused("first", "begin symbol"):
        model_without = nn.EncoderDecoder(**{**arguments(model), "begin": None})
        model_without.loss(params, good)
    with refused(wrong_type("batch", "source and target")):
        model.loss(params, {"source": good["source"]})
    with refused(wrong_type("batch", "Pairs")):
        model.loss(params, (good["source"], good["target"]))
    with refused("batch", "source"):
        model.loss(params, good | {"mask": None})
    with refused("initial"):
        model.run(params, good, [])
    with refused(wrong_type("dropout_rng", "generator", "7")):
        model.run(params, good, dropout_rng=7)
    batch = vars(pairs(numbers, rng))
    with refused(wrong_type("source", "float32")):
        numbers.loss(real, batch)
    single = {k: None if v is None else v.astype("float32") for k, v in batch.items()}
    with refused("target", "(T, B, 2)"):
        numbers.loss(real, single | {"target": np.zeros((3, 4, 1), "float32")})
    with refused("first"):
        numbers.loss(real, single | {"first": np.zeros((4, 3), "float32")})
    with refused("source", "(S, B, 3)"):
        numbers.loss(real, single | {"source": np.zeros((3, 4, 2), "float32")})
    with refused("params"):
        model.loss({}, good)


def test_decoding_refuses_parameters_of_two_dtypes(rng):
    model = MODELS["dense"]
    params, given = model.init(), pairs(model, rng)
    params["readout"] = {name: a.astype("float64") for name, a in params["readout"].items()}
    with refused(wrong_type("params['readout/W']", "float32", "float64")):
        model.decode(params, given.source, length=3)
    with refused(wrong_type("params['readout/W']", "float32", "float64")):
        model.loss_and_grad(params, given)
