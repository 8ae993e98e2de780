r"""
Gradient flossing
=================

Over long times, gradients grow or fade with the Lyapunov exponents of the network. Exponents are differentiable
functions of the weights. Gradient descent can therefore push them to zero before a training begins: gradient flossing
(Engelken 2023 [1]_). We do this for a network of tanh units that has to repeat its input after a delay.
"""

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

units, delay, steps, batch = 48, 24, 72, 32
cell = rd.cells.elman()
model = rd.nn.Model(cell, units, input_size=1, output_size=1, loss="mean_squared_error")


def repeat(seed: int, dtype: str = "float32") -> rd.nn.Batch:
    """Random signs; the target is the input `delay` steps ago. Without memory the loss is 1."""
    x = np.random.default_rng((seed, 7)).choice([-1.0, 1.0], (steps, batch, 1)).astype(dtype)
    targets, mask = np.zeros_like(x), np.zeros((steps, batch), bool)
    targets[delay:], mask[delay:] = x[:-delay], True
    return rd.nn.Batch(x, targets, mask)


def begin(seed: int) -> dict:
    """The initial weights of the library, and of PyTorch: uniform, with a spectral radius of about 0.6."""
    return model.init(rng=seed)


# %%
# Exponents have gradients
# ------------------------
#
# Along a run, the Jacobians carry a frame of :math:`k` vectors, which is orthonormalized by QR. The exponent
# :math:`\lambda_i` is the mean of :math:`\ln |R_{ii}|`. Its gradient passes through every QR, through every Jacobian
# (by the second derivatives of the cell), and along the trajectory. Flossing minimizes :math:`\frac 1 k \sum_{i \le k}
# \lambda_i^2`.

pushed = 16


def floss(params: dict, updates: int = 120, rate: float = 3e-3) -> list[np.ndarray]:
    """Push the first exponents to zero by Adam on the recurrent layer; returns their course."""
    layer = {name: value.astype("float64") for name, value in params["layers"]["0"].items()}
    adam, course = rd.training.adam(), []
    state = adam.init(layer)
    for k in range(updates):
        x = repeat(10**6 + k, "float64").inputs[:40, :4]
        _, grads, exponents = rd.dynamics.flossing(rd.forward(cell, layer, x), pushed, rng=k)
        change, state = adam.update(grads.params, state, layer, rate)
        layer = rd.training.apply_updates(layer, change)
        course.append(exponents.mean(axis=0))
    params["layers"]["0"] = {name: value.astype("float32") for name, value in layer.items()}
    return course


flossed = begin(0)
course = np.array(floss(flossed))
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rd.plot.axes(ax).axhline(0, color="black", lw=0.8)
ax.plot(course, color=rd.plot.colour(0), lw=0.8)
ax.set(xlabel="update of flossing", ylabel=r"$\lambda_1 \dots \lambda_{16}$ (nats per step)")
print(f"first and last of {pushed} exponents: {course[0, 0]:.2f} and {course[0, -1]:.2f} before, ", end="")
print(f"{course[-1, 0]:.2f} and {course[-1, -1]:.2f} after flossing")

# %%
# What it does to gradients
# -------------------------

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rng = np.random.default_rng(0)
for k, (name, params) in enumerate({"default": begin(0), "flossed": flossed}.items()):
    layer = {n: v.astype("float64") for n, v in params["layers"]["0"].items()}
    run = rd.forward(cell, layer, repeat(1, "float64").inputs)
    flow = rd.dynamics.gradient_flow(
        rd.backward(run, d_final={"h": rng.standard_normal((batch, units))}).states["h"]
    )
    flow.plot(ax=ax, index=k, label=name)
    print(f"{name:9s} growth of the gradient per step {flow.rate():.3f}")
ax.axvline(delay, color="grey", ls=":", lw=1)
ax.set_title("a random gradient on its way back; dotted: the delay")

# %%
# What it does to learning
# ------------------------
#
# Both networks train with the same optimizer, rate and data.

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rd.plot.axes(ax)
task = [repeat(seed) for seed in range(40)]
for k, (name, params) in enumerate({"default": begin(0), "flossed": flossed}.items()):
    result = rd.training.fit(
        model, params, task, optimizer=rd.training.adam(), learning_rate=1e-3, updates=800, clip_norm=1.0
    )
    ax.plot(result.history["update"], result.history["loss"], color=rd.plot.colour(k), label=name)
    print(f"{name:9s} loss after 800 updates {result.history['loss'][-20:].mean():.3f} (1 without memory)")
ax.set(xlabel="update", ylabel="mean squared error")
ax.legend(frameon=False)

# %%
# More than one seed
# ------------------
#
# The result of one network may be luck. This is ``docs/_static/data/flossing.csv``, with several delays, three seeds,
# and a third network with an orthogonal recurrent matrix. The first line of the file is the command that wrote it.

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
path = next(p for p in (here, *here.parents) if (p / "docs").is_dir()) / "docs/_static/data/flossing.csv"
with path.open(newline="") as file:
    print(file.readline().strip("# \n"))
    rows = list(csv.DictReader(file))
delays = sorted({int(row["delay"]) for row in rows})
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rd.plot.axes(ax)
for k, start in enumerate(("default", "flossed", "orthogonal")):
    losses = {
        d: [float(r["loss"]) for r in rows if r["start"] == start and int(r["delay"]) == d] for d in delays
    }
    for d in delays:
        ax.plot([d] * len(losses[d]), losses[d], "os^"[k], ms=5, alpha=0.6, color=rd.plot.colour(k))
    means = [np.mean(losses[d]) for d in delays]
    ax.plot(delays, means, color=rd.plot.colour(k), label=start)
    print(f"{start:10s}", "  ".join(f"delay {d}: {m:.3f}" for d, m in zip(delays, means)))
ax.set(xlabel="delay (steps)", ylabel="mean squared error after training", ylim=(0, None), xticks=delays)
ax.legend(frameon=False)
plt.show()

# %%
# What to take with you
# ---------------------
#
# * Exponents are differentiable, through the QR decompositions and along the trajectory; no finite differences are
#   needed.
# * With exponents near zero, gradients reach over the delay. Learning needs this, but this alone is not enough.
# * Flossing helps a network that forgets. It is no better than an orthogonal matrix, if that is possible: tanh units
#   with weak input and an orthogonal matrix start with all exponents near zero. Flossing needs neither, and works
#   for any cell.
#
# .. rubric:: References
#
# .. [1] Engelken, Gradient flossing: improving gradient descent through dynamic control of Jacobians, NeurIPS 2023.
