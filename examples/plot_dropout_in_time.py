r"""
Dropout in time
===============

Dropout sets entries to 0 at random, and divides the others by one minus the rate, so that their mean stays. Between
layers that is harmless. Along time a mask comes again and again to the same numbers: after 50 steps a memory has been
multiplied by 50 masks. Each kind of dropout for recurrent networks is an answer to the question what to multiply in
place of the memory. We measure what each does to a memory, to the path of the gradient, and to a network that overfits.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.cells import Cell, Mask
from recurrent_dynamics.equations import sigmoid, tanh

# %%
# The mistake first
# -----------------
#
# This is an LSTM whose state c is multiplied by a mask at every step. It is not in the library, so we write it: the
# mask is a signal of the cell, and ``masks`` says how it is drawn.


def update(drive, state, signal):
    i, f, o = sigmoid(drive.i), sigmoid(drive.f), sigmoid(drive.o)
    c = signal.mask * (f * state.c + i * tanh(drive.g))
    return {"h": o * tanh(c), "c": c}


rate = 0.25
lstm = rd.cells.lstm()
naive = Cell(
    "lstm with a masked memory",
    ("h", "c"),
    ("i", "f", "g", "o"),
    update,
    signals=("mask",),
    masks={"mask": Mask(rate)},
)

# %%
# The others are made of the LSTM of the library. Their equations say what is multiplied: the state that U reads
# (variational dropout, one mask for all steps), the candidate that is written to the memory (recurrent dropout), or
# nothing, where a unit keeps its old state (zoneout).

cells = {
    "no dropout": lstm,
    "mask on c": naive,
    "variational": rd.cells.variational_dropout(lstm, rate),
    "recurrent": rd.cells.recurrent_dropout(lstm, rate),
    "zoneout": rd.cells.zoneout(lstm, rate),
}
print(rd.cells.zoneout(rd.cells.recurrent_dropout(lstm, rate), rate)._repr_latex_())

# %%
# What is left of a memory
# ------------------------
#
# All units begin with c = 1. The forget gates are nearly open, f = 0.99, and there is no input. Without dropout c falls
# by a percent a step. We run 300 sequences of 60 steps for each cell and draw the median, and the middle 80 %.

H, steps, sequences = 32, 60, 300
params = lstm.init(input_size=1, hidden_size=H, rng=0, dtype="float64")
params = rd.cells.with_bias(lstm, params, f=np.log(99.0))
params["U"] *= 0.1
x = np.zeros((steps, sequences, 1))
start = {"c": np.ones((sequences, H))}
runs = {}
for name, cell in cells.items():
    masks = rd.cells.draw_masks(cell, steps, sequences, H, rng=1, dtype="float64")
    runs[name] = rd.forward(cell, params, x, initial=start, signals=masks)

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for k, (name, run) in enumerate(runs.items()):
    c = run.states["c"].reshape(steps, -1)
    low, middle, high = np.quantile(c, [0.1, 0.5, 0.9], axis=1)
    t = np.arange(1, steps + 1)
    rd.plot.axes(axes[0]).plot(t, middle, color=rd.plot.colour(k), label=name)
    axes[0].fill_between(t, low, high, color=rd.plot.colour(k), alpha=0.15, lw=0)
    alive = (np.abs(c) > 0.01).mean(axis=1)
    rd.plot.axes(axes[1]).plot(t, alive, color=rd.plot.colour(k), label=name)
axes[0].set(
    xlabel="step", ylabel="memory $c$ (1 at the start)", ylim=(-0.2, 2.5), title="Median and middle 80 %"
)
axes[1].set(xlabel="step", ylabel="share of memories above 0.01", title="Memories that are left")
axes[1].legend(frameon=False, fontsize="small")
for name, run in runs.items():
    c = run.states["c"][-1]
    print(f"{name:12s} after {steps} steps: median {np.median(c):5.2f}, largest {c.max():8.2f}")

# %%
# With a mask on c the memory is gone: the chance to be spared by all masks is :math:`0.75^{60}`, or
# :math:`3 \cdot 10^{-8}`. What is in c at the end was written later, and is many times too large where a few masks have
# spared it. All others keep the memory. Zoneout keeps it longer than no dropout does: a unit that is zoned out does not
# forget either.
#
# The path of the gradient
# ------------------------
#
# The loss is the sum of the last c. Its derivative by an earlier c goes along the same path as the memory. Now the
# input is random, and the gates move.

params = lstm.init(input_size=8, hidden_size=H, rng=0, dtype="float64")
params = rd.cells.with_bias(lstm, params, f=3.0)
params["U"] *= 0.1
x = np.random.default_rng(2).standard_normal((steps, 64, 8))
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
lags = np.arange(steps)[::-1]
for k, (name, cell) in enumerate(cells.items()):
    masks = rd.cells.draw_masks(cell, steps, 64, H, rng=1, dtype="float64")
    run = rd.forward(cell, params, x, signals=masks)
    entries = np.abs(rd.backward(run, d_final={"c": np.ones((64, H))}).states["c"]).reshape(steps, -1)
    middle, most = np.median(entries, axis=1), entries.max(axis=1)
    for ax, values in zip(axes, (middle, most)):
        rd.plot.axes(ax).plot(lags, np.maximum(values, 1e-3), color=rd.plot.colour(k), label=name)
    print(f"{name:12s} |dL/dc| at lag 30: median {middle[-31]:.2f}, largest {most[-31]:.3g}")
for ax, what in zip(axes, ("median", "largest")):
    ax.set(
        xlabel="lag from the end (steps)",
        ylabel=rf"{what} $|\partial L/\partial c_t|$ (1 at the end)",
        yscale="log",
    )
axes[0].legend(frameon=False, fontsize="small")

# %%
# With a mask on c the gradient is 0 for most units, and up to a thousand times too large for the few that were spared
# (what is below 0.001 is drawn there).
# The other kinds leave the path as it is: the derivative of c by the c before it is the forget gate, and 1 where
# zoneout keeps the unit.
#
# A network that overfits
# -----------------------
#
# A character model with 96 units reads 12,000 characters of Python source for 350 updates, and is tested on the next
# 12,000. Weight drop belongs to the layer: it sets entries of U to 0, one mask for all steps and sequences of a call.

text = rd.data.standard_library(60_000)[20_000:44_000]
vocabulary = rd.data.Vocabulary.from_text(text)
symbols = vocabulary.encode(text)
half = len(symbols) // 2
train, test = (rd.data.Streams(part, batch_size=20, window=50) for part in (symbols[:half], symbols[half:]))
layers = {name: nn.recurrent(cell, 96) for name, cell in cells.items()}
layers["weight drop"] = nn.recurrent(lstm, 96, weight_drop=0.5)

fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for k, (name, layer) in enumerate(layers.items()):
    model = nn.Objective(nn.chain(nn.embedding(len(vocabulary), 32), layer, nn.dense(None, len(vocabulary))))
    result = rd.training.fit(
        model,
        model.init(rng=0),
        train,
        optimizer="adam",
        learning_rate=6e-3,
        updates=350,
        clip_norm=1.0,
        validation=test,
        validate_every=50,
        progress=False,
    )
    losses = result.history.validation["loss"]
    rd.plot.axes(ax).plot(result.history.validation["update"], losses, color=rd.plot.colour(k), label=name)
    last = result.history["loss"][-20:].mean()
    print(
        f"{name:12s} training {last:.2f}, test {losses[-1]:.2f}, lowest test {losses.min():.2f} nats a character"
    )
ax.set(xlabel="update", ylabel="loss on the test text (nats a character)")
ax.legend(frameon=False, fontsize="small")
plt.show()

# %%
# Without dropout the loss on the test text is lowest after 250 updates and then rises, while that of training goes on
# falling. With variational or recurrent dropout or weight drop it ends lower. Masks on c are the worst of all, since
# such a network cannot remember. Zoneout at this rate learns more slowly, and has not finished. In evaluation there is
# no noise: a mask is its mean, which is 1 for dropout, and for zoneout the rate.
