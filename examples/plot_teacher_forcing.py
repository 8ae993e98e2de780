r"""
Teacher forcing and what it hides
=================================

A decoder is usually trained with the target before its eyes: at every step it reads the right symbol before, whatever
it would have written itself. When it is used, it reads its own output. The loss of training says nothing about that.
We train decoders in both ways and measure what is hidden: how fast a small difference grows once the loop is closed,
and how far the decoder's answers move when it reads its own symbols.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn

# %%
# Waves from two numbers
# ----------------------
#
# One vector to many numbers: from its frequency, a decoder draws a wave. The noise in the targets is that of a
# measurement. The decoder reads the last value that was measured, or in free-running training its own last value.

rng = np.random.default_rng(0)


def waves(count: int, noise: float, steps: int) -> nn.Pairs:
    """Frequencies, and the sine of each."""
    frequency = rng.uniform(0.5, 1.0, (count, 1)).astype("float32")
    wave = np.sin(frequency * np.arange(1, steps + 1)[:, None, None])
    return nn.Pairs(frequency, (wave + noise * rng.standard_normal(wave.shape)).astype("float32"))


def drawing(feeding: nn.Feeding) -> nn.EncoderDecoder:
    """A decoder that knows the frequency at its start alone."""
    return nn.encoder_decoder(
        nn.dense(1, 8), nn.recurrent(rd.cells.gru(), 32), output_size=1, start="tanh", feeding=feeding
    )


measured, clean = waves(128, noise=0.1, steps=40), waves(64, noise=0.0, steps=100)
fitted = {}
for name, feeding in (("told", nn.teacher_forcing()), ("free", nn.free_running())):
    model = drawing(feeding)
    fitted[name] = rd.training.fit(
        model, model.init(rng=0), [measured], optimizer="adam", learning_rate=rd.training.cosine(1e-2, 600),
        updates=600, clip_norm=1.0,
    ).params  # fmt: skip
    error = (model.free_run(fitted[name], clean.source, steps=100) - clean.target) ** 2
    print(
        f"trained {name}: squared error {model.loss(fitted[name], clean):.4f} when told; when it reads itself "
        f"{error[:40].mean():.4f} in the first 40 steps, {error[60:].mean():.4f} in the last 40 of 100"
    )

# %%
# Over the 40 steps of the training both are nearly right when they read themselves. Beyond, both errors are more than a
# hundred times that of the first decoder when it is told. Free running is no cure for steps that no training has shown:
# there the decoder that was trained free loses the phase sooner.

model = drawing(nn.teacher_forcing())
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
for ax, name in zip(axes, ("told", "free")):
    for b in range(3):
        (line,) = ax.plot(model.free_run(fitted[name], clean.source, steps=100)[:, b, 0])
        ax.plot(clean.target[:, b, 0], ":", color=line.get_color())
    ax.set(title=f"trained {name}, reads itself", xlabel="steps")
axes[0].set_ylabel("value (dotted: the target)")

# %%
# Does a small difference grow?
# -----------------------------
#
# :func:`~recurrent_dynamics.nn.loop_growth` multiplies the Jacobians of the steps along the decoder's own wave, once
# with the derivative through what is read, and once without.

growth = {name: nn.loop_growth(model, fitted[name], clean.source[:16], steps=100) for name in fitted}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
for ax, name in zip(axes, growth):
    growth[name].plot(ax=ax)
    ax.set_title(f"trained {name}")
    print(
        f"trained {name}: {growth[name].rate.mean():+.3f} nats a step in the closed loop, "
        f"{growth[name].open_rate.mean():+.3f} when told"
    )

# %%
# The same network is one dynamical system when it is told its inputs, and another when it reads itself. In the decoder
# that was trained told, a difference of the states dies out as long as it is told. When it reads itself, the
# difference stays and grows: the phase drifts. The loss of teacher forcing belongs to the first system. The second one
# is what is used.

# %%
# Symbols: sequences from their end
# ---------------------------------
#
# For symbols there is no derivative through what is read. In its place stands the divergence between the
# distributions of the next symbol: under the given prefix, and under a prefix that the decoder has written. The task
# is to write sequences of ten symbols from their end.


def sequences(count: int) -> nn.Pairs:
    """Ten random symbols, 2 to 5, and the same from the end."""
    source = rng.integers(2, 6, (10, count))
    return nn.Pairs(source, source[::-1])


def turning(feeding: nn.Feeding) -> nn.EncoderDecoder:
    """A GRU that reads, and one that writes."""
    gru = nn.recurrent(rd.cells.gru(), 48)
    return nn.encoder_decoder(
        nn.chain(nn.embedding(6, 8), gru), gru, classes=6, begin=0, end=1, start="copy", feeding=feeding
    )


batches, test = [sequences(128) for _ in range(20)], sequences(100)
feedings = {
    "told": nn.teacher_forcing(),
    "sampled": nn.scheduled_sampling(nn.TeacherRatio.linear(updates=300, first=1.0, last=0.25)),
}
exposure = {}
for name, feeding in feedings.items():
    model = turning(feeding)
    params = rd.training.fit(
        model, model.init(rng=0), batches, optimizer="adam", learning_rate=5e-3, updates=400, clip_norm=1.0
    ).params
    accuracy = rd.training.measure(model, params, [test], ["accuracy"])["accuracy"]
    found = model.decode(params, test.source, length=12, width=1)
    right = [np.array_equal(found.sequence(b), test.target[:, b]) for b in range(100)]
    exposure[name] = nn.exposure_bias(model.predictor(params, test.source), test.target, stop=1, samples=40)
    print(
        f"trained {name}: {accuracy:.1%} of the symbols right when told, {np.mean(right):.0%} of the sequences "
        f"right when it reads itself, growth {exposure[name].growth:+.2f} nats a symbol"
    )

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, found in exposure.items():
    found.plot(ax=left, label=f"trained {name}")
    right.plot(np.arange(1, 11), found.by_lag, "o-", markersize=3, label=f"trained {name}")
left.legend()
right.set(xlabel="symbols since the first different one", ylabel="divergence (nats)")
right.legend()
plt.show()

# %%
# Left: the divergence over the position, with two standard errors. It begins at 0, as nothing was written yet. The
# decoder that was told the target answers otherwise as soon as it reads itself. The one that has read its own symbols
# in training hardly does: it goes by its state, and not by the last symbol. Right: the same after the first symbol
# that differs from the target. Both lines fall to less than half within one symbol: both decoders recover.
