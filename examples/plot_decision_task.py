r"""
A recurrent network of a neuroscience task
==========================================

A network of rate units learns to weigh evidence that depends on a context [1]_. Its units are noisy, as in models of
neural circuits [2]_. Then it is taken apart: where its state goes, which fixed points organize the movement, and how
long the network remembers, in milliseconds.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.equations import tanh

# %%
# The network and the task
# ------------------------
#
# The units follow :math:`\tau\, dx/dt = -x + U \tanh(x) + W u + b + \xi`, in steps of 20 ms with :math:`\tau` = 100 ms.
# The private noise :math:`\xi` is a *signal* of the cell: an array ``(T, B, H)`` that every batch brings.
# :class:`recurrent_dynamics.data.WithNoise` draws it; the factor makes its strength independent of the step [2]_. The
# equation is written out here; the library has it too, as ``rd.cells.ctrnn(dt=STEP, tau=TAU, noise=True)``.

STEP, TAU = 20.0, 100.0  # ms
ALPHA = STEP / TAU
UNITS, NOISE = 64, 0.1


def update(drive, state, signal, constant):
    return {"x": state.x + constant.alpha * (drive.u(tanh(state.x)) + signal.noise - state.x)}


cell = rd.cells.Cell(
    "noisy rate network",
    state=("x",),
    drives=("u",),
    signals=("noise",),
    constants={"alpha": ALPHA},
    update=update,
)
private = {"noise": (np.sqrt(2 / ALPHA) * NOISE, UNITS)}
task = rd.data.ContextDecision(steps=60, batch_size=64, answer=10)
model = rd.nn.Model(cell, hidden_size=UNITS, input_size=4, output_size=1, loss="mean_squared_error")
updates = 1500
result = rd.training.fit(
    model,
    model.init(rng=0),
    rd.data.WithNoise(task, signals=private, seed=1),
    optimizer=rd.training.adam(),
    learning_rate=rd.training.cosine(3e-3, updates),
    updates=updates,
    clip_norm=1.0,
)
params = result.params

# %%
# How well it decides
# -------------------
#
# The psychometric curves: the share of answers "+" against the mean of the evidence in the channel that counts, and in
# the one that does not. A decision is the sign of the readout at the last step. No rule can be right more often than
# the sign of the sum of the evidence that counts, which the noise of the units does not disturb. Beside it, how much
# evidence at each moment contributes: the mean of decision (+1 or -1) times the noise of the evidence then, over 4000
# trials and stretches of 200 ms, with its standard error.

many = rd.data.ContextDecision(steps=60, batch_size=4000, answer=10, seed=2)
batch, drawn = rd.data.WithNoise(many, signals=private, seed=3).batch(0), many.conditions(0)
readout = model.predict(params, batch.inputs, signals=batch.signals)
decided = np.sign(readout[-1, :, 0])
everyone = np.arange(4000)
counts = drawn["evidence"][everyone, drawn["context"]]
ignored = drawn["evidence"][everyone, 1 - drawn["context"]]
print(f"right decisions: {np.mean(decided == np.sign(counts)):.3f}")
total = batch.inputs[:, everyone, drawn["context"]].sum(axis=0)
print(f"right if the sum of the noisy evidence decided: {np.mean(np.sign(total) == np.sign(counts)):.3f}")

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
levels = np.unique(counts)
middle = STEP * (np.arange(5, 50, 10) - 0.5)
for k, (name, values) in enumerate({"the channel that counts": counts, "the other channel": ignored}.items()):
    share = [np.mean(decided[values == level] > 0) for level in levels]
    rd.plot.axes(left).plot(levels, share, "o-", color=rd.plot.colour(k), label=name)
    channel = drawn["context"] if k == 0 else 1 - drawn["context"]
    fluctuation = batch.inputs[:50, everyone, channel] - values
    weight = (decided * fluctuation).reshape(5, -1)
    error = weight.std(axis=1) / np.sqrt(weight.shape[1])
    rd.plot.axes(right).errorbar(
        middle, weight.mean(axis=1), error, fmt="o-", color=rd.plot.colour(k), capsize=3
    )
left.set(xlabel="mean of the evidence in one channel", ylabel='share of decisions "+"', ylim=(0, 1))
left.legend(frameon=False, fontsize="small", loc="upper left")
right.set(xlabel="time of the evidence (ms)", ylabel="mean of decision times noise")

# %%
# Early and late evidence weigh about alike, and the channel that does not count weighs next to nothing.
#
# Fixed points while a context is shown
# -------------------------------------
#
# Without evidence and noise the network is a map for each of the two contexts. Its fixed points are searched from the
# states that the network visits.

run = model.run(params, batch).runs[0]
states = run.states["x"].astype("float64")
weights = {name: value.astype("float64") for name, value in model.cell_params(params)[0].items()}
rng = np.random.default_rng(0)
found = []
for context in range(2):
    visited = states[:, drawn["context"] == context].reshape(-1, UNITS)
    shown = np.eye(4)[2 + context]
    starts = visited[rng.integers(len(visited), size=400)]
    found.append(rd.dynamics.fixed_points(cell, weights, starts, shown, signals={"noise": 0.0}))
    counted = ", ".join(
        f"{n} {kind}" for kind, n in zip(*np.unique(found[-1].kind, return_counts=True), strict=True)
    )
    print(f"context {context + 1}: {counted}; sum of the signs of det(I - J) {found[-1].index_sum}")

# %%
# Each context has two stable points and a saddle between them. The signs of :math:`\det(I - J)` add up to +1, as they
# must if none is missing (:func:`recurrent_dynamics.dynamics.fixed_points`).
#
# Where the states go
# -------------------
#
# One line for each condition: the mean over its trials. :func:`recurrent_dynamics.dynamics.phase_portrait` finds the
# plane in which these means vary most, and draws them coloured by the evidence that counts.

W = params["readout"]["W"][0].astype("float64")
choice = W / np.linalg.norm(W)
conditions = [(context, level) for context in range(2) for level in levels]
means = [states[:, (drawn["context"] == c) & (counts == level)].mean(axis=1) for c, level in conditions]
portrait = rd.dynamics.phase_portrait(np.stack(means, axis=1), [level for _, level in conditions])
fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
portrait.plot(ax=ax, title="evidence\nthat counts")
ax.text(0.9, 1.9, "channel 1 counts", color="0.3", fontsize="small", ha="right")
ax.text(-3.3, -0.9, "channel 2 counts", color="0.3", fontsize="small", ha="center")
print("cosine of the readout with the two components:", (portrait.components[:2] @ choice).round(2))

# %%
# The same plane, with the motion of the network under each context (:func:`recurrent_dynamics.dynamics.flow_field`)
# and its fixed points. Streamlines show the part of the motion in the plane, the shade how fast the whole state moves.
# The coloured lines are the means of that context, one for each level of the evidence that counts.

# sphinx_gallery_thumbnail_number = 3
fig, axes = plt.subplots(1, 2, figsize=(11, 4.4), sharex=True, sharey=True, layout="constrained")
for c, ax in enumerate(axes):
    field = rd.dynamics.flow_field(cell, weights, portrait, np.eye(4)[2 + c], signals={"noise": 0.0})
    field.plot(ax=ax, trajectories=0)
    for k in range(len(levels)):
        path = portrait.trajectories[:, c * len(levels) + k]
        ax.plot(path[:, 0], path[:, 1], color=rd.plot.colour(k), lw=1.5)
    for kind, marker in {"stable": "o", "saddle": "X"}.items():
        points = field.project(found[c].points[found[c].kind == kind])
        ax.plot(points[:, 0], points[:, 1], marker, color="k", mec="w", ms=8, ls="", label=kind)
    ax.set_title(f"context: channel {c + 1} counts")
axes[0].legend(fontsize="small", loc="upper left")

# %%
# All trials begin at one place. The context moves the state to its own three points, which lie on a line of slow
# motion. The evidence that counts moves it along this line, up or down, and the readout sees this movement. When the
# evidence ends, the state has passed the saddle on one side, and drifts to the stable point there. The evidence that
# does not count has next to no effect on the decision, as the second curve in both panels of the first figure shows.
#
# Time constants
# --------------
#
# An eigenvalue :math:`\lambda` of the Jacobian of a step decays or grows with the time constant
# :math:`\Delta t / |\ln|\lambda||`. That of a unit alone is :math:`-20 / \ln 0.8`, 90 ms.

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for c, points in enumerate(found):
    for k in np.argsort(points.points @ choice):
        modulus = np.abs(points.eigenvalues[k])
        tau = -STEP / np.log(modulus)
        x = (points.points[k] - portrait.mean) @ choice
        rd.plot.axes(ax).plot(
            [x] * 3, np.abs(tau[:3]), "o" if points.kind[k] == "stable" else "X", color=rd.plot.colour(c), ms=6,
            label=f"context {c + 1}" if k == 0 else None,
        )  # fmt: skip
        how = "grows" if tau[0] < 0 else "decays"
        slow = f"the slowest direction {how} with {abs(tau[0]):.0f} ms, the next decays with {tau[1]:.0f} ms"
        print(f"context {c + 1}, {points.kind[k]} at {x:+.2f}: {slow}")
ax.axhline(-STEP / np.log(1 - ALPHA), color="0.6", lw=0.8)
ax.set(xlabel="place along the readout", ylabel="three longest time constants (ms)", yscale="log")
ax.text(0.9, 94, "a unit alone", color="0.4", fontsize="small")
ax.legend(frameon=False, fontsize="small", title="crosses: saddles")
plt.show()

# %%
# At the saddles the slowest direction grows, in more than a second: longer than the evidence is shown (50 steps of
# 20 ms), and more than ten times as slowly as a unit forgets. That is how units of 100 ms add up evidence over a
# second.
#
# .. rubric:: References
#
# .. [1] Mante, Sussillo, Shenoy and Newsome, Context-dependent computation by recurrent dynamics in prefrontal cortex,
#    Nature 503 (2013).
# .. [2] Song, Yang and Wang, Training excitatory-inhibitory recurrent neural networks for cognitive tasks, PLoS
#    Computational Biology 12 (2016).
