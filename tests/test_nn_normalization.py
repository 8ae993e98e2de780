"""Normalization between layers and penalties of activations: padding, running statistics, training, files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_checks import check_gradients, dot, drawn_like, moved
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training
from recurrent_dynamics.nn import Context
from recurrent_dynamics.training.tree import named_leaves

T, B, N = 6, 3, 4
LENGTHS = np.array([6, 0, 4])
WITHIN = np.arange(T)[:, None] < LENGTHS
NORMS = {"batch": nn.batch_norm, "layer": nn.layer_norm}


def started(layer, rng, size=N):
    """Parameters that are not those of the start, with a positive variance."""
    params = layer.with_input(size).init(rng=1, dtype="float64")
    return {name: a + rng.uniform(0.1, 1, a.shape) for name, a in params.items()}


@pytest.mark.parametrize("seed", [None, 1], ids=["evaluation", "training"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("kind", NORMS)
def test_the_pull_back(kind, lengths, seed, rng):
    layer = NORMS[kind]()
    check_gradients(
        NORMS[kind](N), started(layer, rng), rng.standard_normal((T, B, N)), rng, lengths=lengths, rng=seed
    )
    deep = nn.chain(
        nn.recurrent(rd.cells.gru(), 3, N), layer, nn.residual(nn.chain(nn.dense(None, 3), layer)),
        nn.bidirectional(layer, nn.chain(layer, nn.recurrent(rd.cells.gru(), 2))),
    )  # fmt: skip
    params = deep.init(rng=1, dtype="float64")
    check_gradients(deep, params, rng.standard_normal((T, B, N)), rng, lengths=lengths, rng=seed)


def test_batch_statistics_skip_padding(rng):
    layer, x = nn.batch_norm(N, momentum=0.25), rng.standard_normal((T, B, N)) * 3 + 5
    params = started(layer, rng)
    y, pull = layer(params, x, Context(lengths=LENGTHS, rng=0))
    z = (y[WITHIN] - params["offset"]) / params["gain"]
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.var(axis=0), 1, atol=1e-4)
    rows = x[WITHIN]
    for name, batch in (("mean", rows.mean(axis=0)), ("variance", rows.var(axis=0, ddof=1))):
        np.testing.assert_allclose(pull.statistics[name], 0.75 * params[name] + 0.25 * batch, atol=1e-12)
    other, _ = layer(params, np.where(WITHIN[..., None], x, 1e6), Context(lengths=LENGTHS, rng=0))
    np.testing.assert_array_equal(other, y)
    assert not y[~WITHIN].any()


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(lambda n: sum(n) >= 2),
    seed=st.integers(0, 99),
)
def test_a_padded_batch_is_its_valid_steps(lengths, seed):
    rng = np.random.default_rng(seed)
    layer, x = nn.batch_norm(2), rng.standard_normal((5, len(lengths), 2))
    params, within = started(layer, rng, 2), np.arange(5)[:, None] < np.array(lengths)
    y, pull = layer(params, x, Context(lengths=lengths, rng=0))
    flat, whole = layer(params, x[within][:, None], Context(rng=0))
    np.testing.assert_array_equal(y[within], flat[:, 0])
    np.testing.assert_array_equal(pull.statistics["variance"], whole.statistics["variance"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_as_in_pytorch(dtype, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((T, B, N)).astype(dtype)
    for layer, module in (
        (nn.batch_norm(N), torch.nn.BatchNorm1d(N)),
        (nn.layer_norm(N), torch.nn.LayerNorm(N)),
    ):
        module = module.to(getattr(torch, dtype))
        params = layer.init(dtype=dtype)
        there = torch.tensor(x, requires_grad=True)
        out = module(there.reshape(-1, N)).reshape(there.shape)
        y, pull = layer(params, x, Context(rng=0))
        d = rng.standard_normal(x.shape).astype(dtype)
        out.backward(torch.tensor(d))
        close = {"atol": 2e-6 if dtype == "float32" else 1e-13}
        np.testing.assert_allclose(y, out.detach().numpy(), **close)
        d_params, d_x = pull(d)
        np.testing.assert_allclose(d_x, there.grad.numpy(), **close)
        np.testing.assert_allclose(d_params["gain"], module.weight.grad.numpy(), atol=10 * close["atol"])
        if pull.statistics:
            np.testing.assert_allclose(pull.statistics["mean"], module.running_mean.numpy(), **close)
            np.testing.assert_allclose(pull.statistics["variance"], module.running_var.numpy(), **close)
            module.eval()
            evaluated = module(there.reshape(-1, N)).reshape(there.shape).detach().numpy()
            np.testing.assert_allclose(layer(params | pull.statistics, x)[0], evaluated, **close)


def objective(*extra, loss="mean_squared_error"):
    return nn.Objective(
        nn.chain(
            nn.recurrent(rd.cells.gru(), 5, N), nn.batch_norm(), *extra, nn.dropout(0.2),
            nn.bidirectional(nn.batch_norm(momentum=0.5), nn.layer_norm()), nn.dense(None, 1),
        ),
        loss,
    )  # fmt: skip


def data(rng, count=3):
    return [
        nn.Batch(rng.standard_normal((T, B, N)).astype("float32"), rng.standard_normal((T, B, 1)).astype("float32"),
                 lengths=np.array([6, 2, 4]))
        for _ in range(count)
    ]  # fmt: skip


def test_training_moves_the_statistics_by_its_batches_and_nothing_else_does(rng):
    model, batches = objective(), data(rng)
    params = model.init(rng=1)
    assert model.statistics == ("1/mean", "1/variance", "3/forward/mean", "3/forward/variance")
    seen = []
    optimizer = training.chain(training.l2(0.5), training.adam(), training.weight_decay(0.5))
    result = training.fit(
        model, params, batches, optimizer=optimizer, learning_rate=0.01, updates=3, progress=False, rng=4,
        callback=seen.append,
    )  # fmt: skip
    rng2, now = np.random.default_rng(4), params
    for state, batch in zip(seen, batches):
        run = model.run(now, batch, dropout_rng=rng2)
        expected = dict(named_leaves(run.statistics))
        now = state.params
        for path, a in named_leaves(now):
            if path in expected:
                np.testing.assert_array_equal(a, expected[path])
    names = [name for name, _ in named_leaves(result.params)]
    assert names == [name for name, _ in named_leaves(params)]
    kept = [path for path, _ in named_leaves(seen[-1].optimizer_state)]
    assert not any(path.endswith(("/mean/1/mean", "/mean/1/variance")) for path in kept)
    np.testing.assert_array_equal(params["1"]["mean"], 0)


def test_resume_and_files_keep_the_statistics(tmp_path, rng):
    model, batches = objective(nn.activation_penalty(size=0.5, change=0.5)), data(rng)
    options = {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "progress": False,
        "rng": 3,
        "clip_norm": 1.0,
        "validation": batches,
    }
    params = model.init(rng=1)
    whole = training.fit(model, params, batches, updates=6, **options)
    path = tmp_path / "run.npz"
    training.fit(model, params, batches, updates=4, checkpoint=path, **options)
    resumed = training.fit(model, params, batches, updates=6, checkpoint=path, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])
    np.testing.assert_array_equal(resumed.history["loss"], whole.history["loss"])
    np.testing.assert_array_equal(rd.ravel(resumed.best_params)[0], rd.ravel(whole.best_params)[0])
    nn.save(tmp_path / "model.npz", model, whole.params)
    saved = nn.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(
        saved.model.predict(saved.params, batches[0].inputs), model.predict(whole.params, batches[0].inputs)
    )
    assert repr(saved.model) == repr(model)


def test_one_step_at_a_time_in_evaluation(rng):
    layer = nn.chain(
        nn.recurrent(rd.cells.gru(), 5, N), nn.batch_norm(), nn.activation_penalty(1.0), nn.layer_norm()
    )
    params = layer.init(rng=1, dtype="float64")
    params["1"] = started(nn.batch_norm(), rng, 5)
    x = rng.standard_normal((T, B, N))
    y, _ = layer(params, x)
    streamed = layer.streamed(params)
    state = [step.zeros(B) for step in streamed.steppers]
    for t in range(T):
        after = []
        np.testing.assert_allclose(streamed.step(x[t], state, None, after), y[t], atol=1e-14)
        state = after


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_the_gradient_of_a_penalty(lengths, rng):
    reset = rng.random((T, B)) < 0.3
    inner = nn.chain(
        nn.recurrent(rd.cells.gru(), 3, N), nn.activation_penalty(change=0.7), nn.dropout(0.4),
        nn.activation_penalty(size=0.9),
    )  # fmt: skip
    layer = nn.bidirectional(inner, nn.residual(nn.chain(nn.dense(N, N), nn.activation_penalty(0.3, 0.2))))
    params, x = layer.init(rng=1, dtype="float64"), rng.standard_normal((T, B, N))
    context = {"lengths": lengths, "reset": reset, "rng": 2}
    y, pull = layer(params, x, Context(**context))
    d_y = rng.standard_normal(y.shape)
    d_params, d_x = pull(d_y, d_penalty=1.5)

    def loss(params, x):
        y, pull = layer(params, x, Context(**context))
        return dot(y, d_y) + 1.5 * pull.penalty

    for which, gradient in enumerate((d_params, d_x)):
        at = [params, x]
        direction = drawn_like(at[which], rng)
        ends = []
        for h in (1e-6, -1e-6):
            there = list(at)
            there[which] = moved(at[which], direction, h)
            ends.append(loss(*there))
        assert dot(gradient, direction) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)
    np.testing.assert_array_equal(pull(d_y)[1], pull(d_y, d_penalty=0)[1])


def test_the_value_of_a_penalty_counts_valid_steps_of_one_sequence():
    x = np.arange(8.0).reshape(4, 2, 1) ** 2
    layer = nn.activation_penalty(size=1.0, change=1.0)
    reset = np.zeros((4, 2), bool)
    reset[2, 0] = True
    _, pull = layer({}, x, Context(lengths=[4, 2], reset=reset, rng=0))
    a, b = x[:, 0, 0], x[:2, 1, 0]
    size = (np.sum(a**2) + np.sum(b**2)) / 6
    change = ((a[1] - a[0]) ** 2 + (a[3] - a[2]) ** 2 + (b[1] - b[0]) ** 2) / 3
    assert pull.penalty == pytest.approx(size + change)
    assert layer({}, x)[1].penalty == 0
    assert layer({}, x[:1], Context(rng=0))[1].penalty == pytest.approx(np.mean(x[0] ** 2))


def test_an_objective_differentiates_the_penalty_and_shows_the_loss_alone(rng):
    plain, penal = objective(), objective(nn.activation_penalty(size=2.0))
    params, batch = plain.init(rng=1, dtype="float64"), data(rng)[0]
    batch = batch._replace(inputs=batch.inputs.astype(float), targets=batch.targets.astype(float))
    # The penalty takes a place in the chain, which shifts the names of the later layers.
    renamed = {"0": params["0"], "1": params["1"], "4": params["3"], "5": params["4"]}
    loss, grads = plain.loss_and_grad(params, batch, dropout_rng=np.random.default_rng(0))
    same, more = penal.loss_and_grad(renamed, batch, dropout_rng=np.random.default_rng(0))
    assert same == loss
    run = penal.run(renamed, batch, dropout_rng=np.random.default_rng(0))
    alone = run.pull(np.zeros((T, B, 1)), d_penalty=1.0)[0]
    np.testing.assert_allclose(more["1"]["gain"], grads["1"]["gain"] + alone["1"]["gain"], atol=1e-12)
    # In evaluation there is none.
    np.testing.assert_array_equal(
        penal.loss_and_grad(renamed, batch)[1]["1"]["gain"],
        plain.loss_and_grad(params, batch)[1]["1"]["gain"],
    )


def x4(*shape):
    return np.ones(shape)


REFUSED = [
    (lambda: nn.batch_norm(momentum=0), ("momentum", "0", "0")),
    (lambda: nn.batch_norm(eps=0), ("eps", "0", "0")),
    (lambda: nn.layer_norm(0), ("size", "1", "0")),
    (lambda: nn.layer_norm(eps=-1), ("eps", "0", "-1")),
    (lambda: nn.activation_penalty(-1), ("size", "0", "-1")),
    (lambda: nn.activation_penalty(change=np.inf), ("change", "finite", "inf")),
    (lambda: nn.batch_norm().init(), "input_size"),
    (lambda: nn.chain(nn.dense(2, 3), nn.batch_norm(2)), ("input_size", "2", "3")),
    (lambda: one_step(lengths=[1, 0]), ("x", "two valid steps", "1")),
    (lambda: one_step(variance=-1.0, lengths=None), ("params['variance']", "0", "-1.0")),
]


def one_step(lengths, variance=1.0):
    layer = nn.batch_norm(2)
    params = layer.init(dtype="float64") | {"variance": np.full(2, variance)}
    return layer(params, x4(3, 2, 2), Context(lengths=lengths, rng=0))


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(call, said):
    with refused(*([said] if isinstance(said, str) else said)):
        call()


def test_an_encoder_and_a_decoder_have_statistics_and_penalties(rng):
    def model(size):
        gru = nn.recurrent(rd.cells.gru(), 4, 3)
        encoder = nn.chain(gru, nn.batch_norm(), nn.activation_penalty(size))
        decoder = nn.chain(
            nn.recurrent(rd.cells.gru(), 4), nn.batch_norm(), nn.activation_penalty(change=size)
        )
        return nn.encoder_decoder(encoder, decoder, classes=5, begin=0, end=1, summary="mean")

    batch = nn.Pairs(
        rng.standard_normal((T, B, 3)), rng.integers(2, 5, (4, B)), source_lengths=np.array([6, 2, 4])
    )
    plain, penal = model(0.0), model(0.7)
    paths = ("encoder/1/mean", "encoder/1/variance", "decoder/1/mean", "decoder/1/variance")
    assert penal.statistics == paths
    params = penal.init(rng=1, dtype="float64")

    def total(params):
        run = penal.run(params, batch, dropout_rng=np.random.default_rng(2))
        return penal.score(run.output, batch)[0] + run.encoder.penalty + run.decoder.penalty

    loss, run, gradients = penal.differentiate(params, batch, None, np.random.default_rng(2))
    assert loss == plain.differentiate(params, batch, None, np.random.default_rng(2))[0]
    direction = drawn_like(params, rng)
    up, down = (total(moved(params, direction, h)) for h in (1e-6, -1e-6))
    assert dot(gradients.params, direction) == pytest.approx((up - down) / 2e-6, rel=1e-6)
    result = training.fit(
        penal, params, [batch], optimizer="adam", learning_rate=0.01, updates=1, progress=False, rng=2
    )
    expected = dict(named_leaves(run.statistics))
    assert tuple(expected) == paths
    for path, a in named_leaves(result.params):
        if path in expected:
            np.testing.assert_array_equal(a, expected[path])
