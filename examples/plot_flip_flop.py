r"""
Fixed points of a flip-flop memory
==================================

A network that remembers three bits must have eight states in which it rests. We look for these states, for the states
that separate them, and for the way in which they disappear. All this follows from the map of one step without input,
:math:`h \mapsto F(h)`: from its fixed points :math:`F(h) = h`, and from the eigenvalues of the Jacobian there [1]_.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# The network
# -----------
#
# Each of three channels receives a pulse of +1 or -1 at random times; its target is the sign of the last pulse. A
# simple recurrent network of 64 units, :math:`h_t = \tanh(W x_t + U h_{t-1} + b)`, learns it within seconds.

cell, updates = rd.cells.elman(), 1500
model = rd.nn.Model(cell, hidden_size=64, input_size=3, output_size=3, loss="mean_squared_error")
trained = rd.training.fit(
    model,
    model.init(rng=0),
    rd.data.FlipFlop(steps=60, batch_size=32, seed=0),
    optimizer=rd.training.adam(),
    learning_rate=rd.training.cosine(3e-3, updates),
    updates=updates,
    clip_norm=1.0,
)
batch = rd.data.FlipFlop(steps=200, batch_size=32, seed=5).batch(0)
outputs = model.forward(trained.params, batch.inputs)
run = outputs.runs[0]
params = {name: value.astype("float64") for name, value in trained.params["layers"]["0"].items()}
readout = {name: value.astype("float64") for name, value in trained.params["readout"].items()}
print(f"mean squared error on new sequences {model.loss(trained.params, batch):.4f} (1 without memory)")

fig, axes = plt.subplots(3, 1, figsize=(8, 4), sharex=True, layout="constrained")
for k, ax in enumerate(axes):
    rd.plot.axes(ax).plot(batch.targets[:100, 0, k], color="0.7", lw=4, label="target")
    ax.plot(outputs.output[:100, 0, k], color=rd.plot.colour(k), lw=1.2, label="output")
    pulses = np.flatnonzero(batch.inputs[:100, 0, k])
    ax.plot(pulses, batch.inputs[pulses, 0, k], "k|", ms=12, label="pulse")
    ax.set(ylabel=f"bit {k + 1}", ylim=(-1.5, 1.5), yticks=(-1, 1))
axes[0].legend(frameon=False, ncols=3, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1))
axes[-1].set_xlabel("step")

# %%
# Search from the states of a run
# -------------------------------
#
# :func:`recurrent_dynamics.dynamics.fixed_points` follows Newton's method from 1024 states of the run.

found = rd.dynamics.fixed_points(cell, params, run, noise=0.1)
print(found)
print(f"largest q = |F(h) - h|^2 / 2: {found.q.max():.1e}; sum of the signs of det(I - J): {found.index_sum}")

# %%
# The search finds all eight memories, and nearly all starts end in them. But some fixed points are missing. The network
# maps the cube :math:`(-1, 1)^{64}` into itself. For such a map the signs of :math:`\det(I - J)` over all fixed points
# add up to +1 if none is degenerate (Lefschetz). The printed sum is larger, since each stable point counts +1. So there
# are missing points that count -1. They repel, so no run stays near them. Starts on the straight lines between two
# states of the run find them:

rng = np.random.default_rng(0)
states = run.states["h"].reshape(-1, 64).astype("float64")
a, b = states[rng.integers(len(states), size=(2, 1024))]
found = rd.dynamics.fixed_points(
    cell, params, np.concatenate([a + rng.random((1024, 1)) * (b - a), states[:64]])
)
print(found)
print(f"largest q: {found.q.max():.1e}; sum of the signs: {found.index_sum}")
for directions in range(4):
    print(f"points with {directions} unstable directions: {np.sum(found.unstable == directions)}")

# %%
# The sum is +1. This does not prove that no point is missing, because a missing pair can count +1 and -1. But each
# point that was found exists and is the only one nearby. The Newton-Kantorovich theorem proves this, with a bound of
# the second derivative of the whole step:

certificate = found.certificate
print(
    f"proven: {certificate.holds.sum()} of {len(found)}, to within {certificate.existence.max():.0e}; "
    f"each the only one within {certificate.uniqueness.min():.2f}"
)

# %%
# Memories, and the passes between them
# -------------------------------------
#
# Placed by the three bits of the readout, the points form a cube. There is a memory at every corner. Between two
# neighbouring corners is a saddle with one unstable direction, in the middle of a face a saddle with two, and in the
# centre of the cube a point with three.


def bits(h: np.ndarray) -> np.ndarray:
    """The readout of states (..., 64)."""
    return h @ readout["W"].T + readout["b"]


# sphinx_gallery_thumbnail_number = 2
fig = plt.figure(figsize=(11, 4.8), layout="constrained")
left = found.plot(ax=fig.add_subplot(1, 2, 1))
left.set_title("principal components of the starts")
ax = fig.add_subplot(1, 2, 2, projection="3d")
for path in bits(run.states["h"][:, :4].astype("float64")).swapaxes(0, 1):
    ax.plot(*path.T, color="0.8", lw=0.5)
for directions, marker in enumerate("oXs*"):
    chosen = bits(found.points[found.unstable == directions])
    label = "stable" if directions == 0 else f"{directions} unstable"
    ax.plot(*chosen.T, marker, color=rd.plot.colour(directions), ms=12 if marker == "*" else 8, label=label)
for axis, name in zip("xyz", ("bit 1", "bit 2", "bit 3")):
    ax.set(**{f"{axis}label": name, f"{axis}ticks": (-1, 0, 1)})
ax.set_title("the same points by their readout")
ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0.9, 1))

# %%
# Which memories does a saddle separate? We start near the saddle, on both sides along its unstable direction, and
# follow the network.

saddles = found.points[found.unstable == 1]
_, vectors = np.linalg.eig(rd.jacobian(rd.forward(cell, params, steps=1, initial={"h": saddles}), 0))
values = np.abs(np.linalg.eigvals(rd.jacobian(rd.forward(cell, params, steps=1, initial={"h": saddles}), 0)))
unstable = np.take_along_axis(vectors, values.argmax(axis=1)[:, None, None], axis=2)[:, :, 0].real
ends = []
for sign in (1, -1):
    rolled = rd.forward(cell, params, steps=2000, initial={"h": saddles + sign * 1e-3 * unstable})
    ends.append(np.sign(bits(rolled.final["h"])))
changed = np.sum(ends[0] != ends[1], axis=1)
edges = {tuple(sorted(map(tuple, pair))) for pair in zip(*np.array(ends, dtype=int).tolist())}
print(f"{len(saddles)} saddles; bits in which the two ends differ: {np.unique(changed, return_counts=True)}")
print(f"different pairs of memories: {len(edges)} (a cube has 12 edges)")

# %%
# How a memory is lost
# --------------------
#
# With weaker recurrent weights, :math:`\lambda U` with :math:`\lambda < 1`, a memory is less stable. Continuation
# follows it to smaller :math:`\lambda`. There it meets a neighbouring saddle in a fold, and both disappear. The branch
# turns at the fold and returns as the saddle. In the figure each colour is one memory; the line is solid where the
# point is stable, and dashed where it is a saddle.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for k, memory in enumerate(found.points[found.kind == "stable"][:3]):
    branch = rd.dynamics.continuation(cell, params, memory, "U", (0.0, 1.05), increase=False, longest=0.5)
    rd.plot.branch(branch, index=k, ax=ax)
    first = branch.bifurcations[0]
    print(f"memory {np.sign(bits(memory)).astype(int)}: {first.kind} at lambda = {first.parameter:.4f}")
ax.set_xlabel(r"factor $\lambda$ of the recurrent weights")
plt.show()

# %%
# What to take with you
# ---------------------
#
# * Stable points alone do not explain a memory. Saddles say which memories are neighbours, and how large a pulse must
#   be.
# * A search from the states of a run can look complete although points are missing. The sum of the signs of
#   :math:`\det(I - J)` shows it.
# * A certified fixed point is a fact about the network, not about the search.
#
# .. rubric:: References
#
# .. [1] Sussillo and Barak, Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
#    networks, Neural Computation 25 (2013).
