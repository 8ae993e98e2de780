r"""
What clipping does to the path of the weights
=============================================

One unit and two parameters are enough for an exploding gradient. Pascanu, Mikolov and Bengio [1]_ drew the error
surface of such a network, whose task is to be in a certain state after 50 steps. They found a cliff in it. Our network
is

.. math::

   h_t = u\, \sigma(h_{t-1}) + b, \qquad h_0 = 0.5, \qquad L(u, b) = (h_{50} - 0.7)^2 .

We draw its surface, explain the cliff, and follow gradient descent over the surface: without clipping, with the
gradient clipped by its norm, and with every entry clipped by its value.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.cells import DIAGONAL, Cell, Drive
from recurrent_dynamics.equations import sigmoid

# %%
# The network, and a whole surface in one run
# -------------------------------------------
#
# The equation is not in the library, so we write it. A drive that is called, ``drive.n(...)``, multiplies its argument
# by a matrix. Here the matrix is diagonal, so that the units of a network do not see each other, and there is no input.


def update(drive, state):
    return {"h": drive.n(sigmoid(state.h))}


cell = Cell("one unit", state=("h",), drives=(Drive("n", input=False, structure=DIAGONAL),), update=update)

# %%
# Units that do not see each other are separate networks of one unit. One run of 33 thousand units computes the loss on
# a grid of parameters, and one backward pass the gradient at every point of the grid.

steps, target = 50, 0.7


def loss_and_grad(params: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The loss of every unit, and its gradient by u (the diagonal of U) and b."""
    run = rd.forward(cell, params, steps=steps, initial={"h": np.full(params["U"].shape, 0.5)})
    error = run.final["h"] - target
    return error**2, rd.backward(run, d_final={"h": 2 * error}).params


u, b = np.meshgrid(np.linspace(3.8, 6.2, 241), np.linspace(-3.1, -1.7, 141))
losses, grads = loss_and_grad({"U": u.ravel(), "b": b.ravel()})
surface, slope = losses.reshape(u.shape), np.hypot(grads["U"], grads["b"]).reshape(u.shape)
print(f"norm of the gradient on the grid: median {np.median(slope):.1f}, largest {slope.max():.0f}")

# %%
# Why there is a cliff
# --------------------
#
# On the line :math:`b = -2.5` the loss falls from 6.5 to 0.3 almost at one point. To the left of the cliff the network
# ends in a low state. At the cliff the lower fixed point disappears (a fold bifurcation), and to the right the network
# ends in the high state. The gradient has the product of the Jacobians, here of numbers, as a factor:
#
# .. math::
#
#    \frac{\partial h_{50}}{\partial h_0} = \prod_{t=1}^{50} u\, \sigma'(h_{t-1}) .

line = np.linspace(4.75, 5.0, 2001)
params = {"U": line, "b": np.full(line.shape, -2.5)}
line_losses, line_grads = loss_and_grad(params)
run = rd.forward(cell, params, steps=steps, initial={"h": np.full(line.shape, 0.5)})
sensitivity = rd.jvp(run, d_initial={"h": np.ones(line.shape)}).final["h"]
moved = rd.jvp(run, d_params={"U": np.ones(line.shape)})
error = run.final["h"] - target
curvature = rd.hvp(
    run,
    d_final={"h": 2 * error},
    d_params={"U": np.ones(line.shape)},
    d_final_tangent={"h": 2 * moved.final["h"]},
).params["U"]
steepest = np.argmax(np.abs(line_grads["U"]))
print(
    f"at u = {line[steepest]:.4f}: dL/du = {line_grads['U'][steepest]:.0f}, "
    f"d h_50 / d h_0 = {sensitivity[steepest]:.1f}, largest |d2L/du2| on the line {np.abs(curvature).max():.2g}"
)
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
quantities = {
    "loss $L$": line_losses,
    r"slope $|\partial L / \partial u|$": np.abs(line_grads["U"]),
    r"curvature $|\partial^2 L / \partial u^2|$": np.abs(curvature),
}
for ax, (title, values) in zip(axes, quantities.items()):
    rd.plot.axes(ax).plot(line, values, color=rd.plot.colour(0))
    ax.set(xlabel="$u$ (at $b = -2.5$)", title=title)
axes[1].set_yscale("log")
axes[2].set_yscale("log")

# %%
# Slope and curvature explode together. This is why a shorter step is right: where the gradient is huge, the linear
# approximation holds only for a tiny step, and the length of the gradient does not say how far to go.

# %%
# Three paths
# -----------
#
# Gradient descent with the learning rate 0.03 from one starting point, 80 updates. Clipping by norm scales the gradient
# :math:`g` to at most 2; clipping by value cuts each of its entries to :math:`[-2, 2]`:
#
# .. math::
#
#    g \leftarrow g \min\!\left(1, \frac{2}{\Vert g \Vert}\right) \qquad\text{or}\qquad
#    g_i \leftarrow \max(-2, \min(2, g_i)) .

limit, learning_rate, updates = 2.0, 0.03, 80
optimizer = rd.training.sgd()
rules = {
    "no clipping": lambda grads: grads,
    "by norm": lambda grads: rd.training.clip_by_global_norm(grads, limit)[0],
    "by value": lambda grads: rd.training.clip_by_value(grads, limit),
}
paths, path_losses = {}, {}
for name, rule in rules.items():
    params = {"U": np.array([5.6]), "b": np.array([-2.0])}
    state = optimizer.init(params)
    points, seen = [], []
    for _ in range(updates + 1):
        loss, grads = loss_and_grad(params)
        points.append([params["U"][0], params["b"][0]])
        seen.append(loss[0])
        change, state = optimizer.update(rule(grads), state, params, learning_rate)
        params = rd.training.apply_updates(params, change)
    paths[name], path_losses[name] = np.array(points), np.array(seen)

# sphinx_gallery_thumbnail_number = 2
fig, ax = plt.subplots(figsize=(8, 5.2), layout="constrained")
filled = ax.contourf(u, b, surface, levels=np.arange(0, 31, 1.5), cmap="Greys", extend="max")
fig.colorbar(filled, label="loss $L$")
for k, (name, path) in enumerate(paths.items()):
    ax.plot(*path.T, "o-", ms=3, lw=1.2, color=rd.plot.colour(k), label=name)
ax.plot(*paths["by norm"][0], "k*", ms=12)
ax.set(xlim=(3.8, 6.2), ylim=(-3.1, -1.7), xlabel="recurrent weight $u$", ylabel="bias $b$")
ax.set_title("loss and paths of gradient descent (star: start)")
ax.legend(loc="upper left")

# %%
# Without clipping, one step at the cliff throws the weights out of the picture. With clipping by norm, the path arrives
# at the foot of the cliff and follows it, in short steps from side to side, until the cliff ends and the loss comes
# near 0. Clipping by value changes the direction: if both entries are beyond the limit, the step is a diagonal, for any
# gradient. On the two sides of this cliff the diagonals are nearly opposite, and the path bounces in place.

step_lengths = {name: np.linalg.norm(np.diff(path, axis=0), axis=1) for name, path in paths.items()}
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for k, name in enumerate(paths):
    rd.plot.axes(left).semilogy(
        np.arange(1, updates + 1), step_lengths[name], color=rd.plot.colour(k), label=name
    )
    rd.plot.axes(right).semilogy(path_losses[name], color=rd.plot.colour(k), label=name)
    print(
        f"{name:12s} longest step {step_lengths[name].max():7.3f}, last loss {path_losses[name][-1]:8.4f}, "
        f"distance from the start {np.linalg.norm(paths[name][-1] - paths[name][0]):7.2f}"
    )
left.set(xlabel="update", ylabel=r"step length $\Vert\,\Delta w\,\Vert$", title="length of every step")
right.set(xlabel="update", ylabel="loss $L$", title="loss along the path")
left.legend(frameon=False)
plt.show()

# %%
# After the throw the weights come back: far from the cliff this surface is smooth and slopes down to small losses. This
# is a lucky case of two parameters. In a larger network the weights may land where units saturate and gradients vanish.

# %%
# How far clipping turns a gradient
# ---------------------------------
#
# Clipping by norm does not turn it at all. Clipping by value turns it towards the diagonal, here by the angle below.

visited = paths["by norm"]
_, grads = loss_and_grad({"U": visited[:, 0].copy(), "b": visited[:, 1].copy()})
raw = np.stack([grads["U"], grads["b"]])
clipped = np.clip(raw, -limit, limit)
cosine = (raw * clipped).sum(0) / np.linalg.norm(raw, axis=0) / np.linalg.norm(clipped, axis=0)
angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
print(f"angle between gradient and gradient clipped by value: median {np.median(angles):.1f} degrees")

# %%
# This angle is enough to stop the path: over the last 40 updates, the path with clipping by value does not advance.

for name in ("by norm", "by value"):
    advance = np.linalg.norm(paths[name][-1] - paths[name][-41])
    print(
        f"{name:9s} length of the last 40 steps {step_lengths[name][-40:].sum():.2f}, advance {advance:.2f}"
    )

# %%
# What to take with you
# ---------------------
#
# * At a cliff slope and curvature explode together. Clipping ignores the length of the gradient there.
# * Clipping by norm keeps the direction, clipping by value does not. If one common norm clips many parameters, the
#   ratios of their steps stay the same too.
# * Clipping bounds the step by rate times limit. It does not make an exploded gradient more useful.
#
# .. rubric:: References
#
# .. [1] Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013, figure 6.
