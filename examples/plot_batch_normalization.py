r"""
Why batch normalization fails across time
=========================================

Batch normalization gives each unit mean 0 and variance 1 over a batch. In evaluation it takes running means of these
statistics in place of those of a batch. Between the layers of a network that works well. Within a recurrence it does
not, and this page shows with numbers why: a state has another distribution at every step, one set of running statistics
makes another network of it, and late steps have few sequences. At the end stands what is done in its place.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn

# %%
# A state has another distribution at every step
# ----------------------------------------------
#
# A GRU of 64 units starts at 0 and reads noise around 0.5. We take the mean and the standard deviation of each unit
# over 1000 sequences, at every step.

rng = np.random.default_rng(0)
steps, sequences, H = 60, 1000, 64
noise = rng.standard_normal((steps, sequences, 4))
x = 0.5 * noise + 0.5
cell = rd.cells.gru()
params = rd.cells.with_bias(cell, cell.init(input_size=4, hidden_size=H, rng=0, dtype="float64"), z=2.0)
h = rd.forward(cell, params, x).output
mean, deviation = h.mean(axis=1), h.std(axis=1)  # (steps, H)

layer = nn.batch_norm(H)
y, _ = layer(layer.init(dtype="float64"), h, nn.Context(rng=0))
of_step = np.sqrt((y.mean(axis=1) ** 2).mean(axis=1)), np.sqrt((y**2).mean(axis=(1, 2)))

t = np.arange(1, steps + 1)
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
rd.plot.axes(axes[0]).plot(t, deviation[:, :12], color=rd.plot.colour(0), lw=0.8)
axes[0].set(xlabel="step", ylabel="standard deviation of $h_t$ over sequences", title="Twelve units")
rd.plot.axes(axes[1]).plot(t, of_step[0], color=rd.plot.colour(1), label="mean (root mean square over units)")
axes[1].plot(t, of_step[1], color=rd.plot.colour(2), label="root mean square")
axes[1].axhline(1, color="grey", lw=0.8, ls=":")
axes[1].axhline(0, color="grey", lw=0.8, ls=":")
axes[1].set(xlabel="step", ylabel="after batch normalization", title="One set of statistics for all steps")
axes[1].legend(frameon=False, fontsize="small")
for step in (1, 5, 20, 60):
    print(
        f"step {step:2d}: deviation of h {deviation[step - 1].mean():.3f}; after batch_norm the units are "
        f"{of_step[0][step - 1]:.2f} deviations off 0"
    )

# %%
# Behind ``nn.batch_norm`` all steps together have mean 0 and variance 1, but no step alone has. The first step is
# almost two deviations off. For the next layer that is a signal that says how early it is; between layers one lives
# with it.
#
# One set of statistics makes another network
# -------------------------------------------
#
# Within a recurrence, :math:`h_t = \tanh(\gamma\, \mathrm{BN}(W x_t + U h_{t-1}))`, the normalized number goes into the
# next state. In training each step has the statistics of its batch. In evaluation it has running ones, and there are
# two ways to keep them: one set for all steps, or one for each step (Cooijmans et al. 2017 [1]_). We run both on the
# same sequences, whose input rises along the way, and compare with what training computed.

W, U = rng.standard_normal((H, 4)), rng.standard_normal((H, H)) / np.sqrt(H)
gain = 1.5


def recurrence(
    x: np.ndarray, means: np.ndarray | None, deviations: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """States, and means and deviations of every step: those given, or where there are none those of the batch."""
    h, states, found = np.zeros((x.shape[1], H)), [], []
    for t, x_t in enumerate(x):
        a = x_t @ W.T + h @ U.T
        m = a.mean(axis=0) if means is None else means[t]
        s = a.std(axis=0) if deviations is None else deviations[t]
        h = np.tanh(gain * (a - m) / s)
        states.append(h)
        found.append((m, s))
    of_steps = np.array(found)
    return np.array(states), of_steps[:, 0], of_steps[:, 1]


drift = x + np.linspace(0, 2, steps)[:, None, None]  # the input becomes larger along the sequence
trained, means, deviations = recurrence(drift, None, None)
pooled_mean = np.broadcast_to(means.mean(axis=0), means.shape)
pooled_deviation = np.broadcast_to(
    np.sqrt((deviations**2).mean(axis=0) + means.var(axis=0)), deviations.shape
)
batch = 32
small = [recurrence(drift[:, i : i + batch], None, None)[1:] for i in range(0, 5 * batch, batch)]
few = [np.mean([found[k] for found in small], axis=0) for k in (0, 1)]
ways = {
    "one set for all steps": (pooled_mean, pooled_deviation),
    "one set for each step": (means, deviations),
    f"one for each step, of 5 batches of {batch}": tuple(few),
}
scale = np.sqrt((trained**2).mean())
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for k, (name, statistics) in enumerate(ways.items()):
    evaluated = recurrence(drift, *statistics)[0]
    error = np.sqrt(((evaluated - trained) ** 2).mean(axis=(1, 2))) / scale
    rd.plot.axes(ax).plot(t, error, color=rd.plot.colour(k), label=name)
    print(f"{name:38s} error at step 1: {error[0]:.3f}, step 10: {error[9]:.3f}, step 60: {error[-1]:.3f}")
ax.set(xlabel="step", ylabel="difference of evaluation and training, relative")
ax.legend(frameon=False, fontsize="small")

# %%
# With one set the difference is as large as the states at both ends of the sequence, and small in the middle, where the
# statistics of all steps happen to fit: evaluation is another network. One set for each step gives the same states
# where it comes from the same sequences. From 5 batches of 32 it is about a tenth off: 60 means and deviations for each
# unit are known less well than one.
#
# Late steps have few sequences
# -----------------------------
#
# Statistics for each step are no way out where lengths differ. The longest sequence of a batch is alone at its last
# steps, and a batch of one has variance 0. Here lengths are uniform between 1 and 60, in batches of 32. The error of a
# variance from n sequences is about :math:`\sqrt{2 / n}` of it, and what is longer than any sequence of the training
# has no statistics at all.

lengths = rng.integers(1, steps + 1, (2000, 32))
alive = (lengths[..., None] >= t).sum(axis=1)  # (batches, steps)
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
rd.plot.axes(ax).plot(t, alive.mean(axis=0), color=rd.plot.colour(0), label="sequences that reach the step")
ax.plot(t, 100 * (alive < 2).mean(axis=0), color=rd.plot.colour(1), label="batches without a variance (%)")
ax.set(xlabel="step", ylabel="number of sequences, or percent")
ax.legend(frameon=False, fontsize="small")
for step in (1, 30, 50, 60):
    n = alive[:, step - 1]
    print(
        f"step {step:2d}: {n.mean():4.1f} sequences, error of the variance about {np.sqrt(2 / max(n.mean(), 1)):.0%}, "
        f"{(n < 2).mean():.0%} of the batches have none"
    )
plt.show()

# %%
# What is done in its place
# -------------------------
#
# Layer normalization takes the mean over the units of one sequence at one step [2]_. It needs no batch, no running
# statistics and no length, and evaluation is training. Any cell has it by ``with_normalization``:

normalized = cell.with_normalization()
params = normalized.init(input_size=4, hidden_size=H, rng=0, dtype="float64")
together = rd.forward(normalized, params, x).output
alone = rd.forward(normalized, params, x[:, :1]).output
print(
    f"a sequence alone and in a batch of {sequences}: largest difference {abs(together[:, :1] - alone).max():.1g}"
)

# %%
# Between layers what is normalized does not go into the next state. Here are two GRUs with ``nn.batch_norm`` between
# them. After 200 updates evaluation differs from training by some percent of the output. Padding does not count in the
# statistics, and ``nn.save`` and checkpoints keep them with the parameters.

model = nn.Objective(
    nn.chain(nn.recurrent(cell, H, input_size=4), nn.batch_norm(), nn.recurrent(cell, H), nn.dense(None, 1)),
    loss="mean_squared_error",
)
batches = []
for i in range(20):
    part = x[:, i * 50 : (i + 1) * 50]
    target = part.sum(axis=-1, keepdims=True).cumsum(axis=0) / np.arange(1, steps + 1)[:, None, None]
    batches.append(nn.Batch(part, target, lengths=rng.integers(1, steps + 1, 50)))
result = rd.training.fit(
    model, model.init(rng=0, dtype="float64"), batches[:16], optimizer="adam", learning_rate=3e-3, updates=200,
    clip_norm=1.0, progress=False,
)  # fmt: skip
held_out = batches[16]
y, _ = model.layer(result.params, held_out.inputs, nn.Context(held_out.lengths, rng=0))
z, _ = model.layer(result.params, held_out.inputs, nn.Context(held_out.lengths))
print(f"loss on held-out sequences {rd.training.evaluate(model, result.params, batches[16:]):.4f}")
print(
    f"evaluation against statistics of the batch: {np.sqrt(((y - z) ** 2).mean() / (z**2).mean()):.1%} of the output"
)

# %%
# .. [1] Cooijmans, Ballas, Laurent, Gulcehre, Courville, "Recurrent batch normalization", ICLR 2017.
# .. [2] Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450, 2016.
