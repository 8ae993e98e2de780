r"""
Alpha-gates as time constants
=============================

A gate that keeps a share :math:`\alpha` of the state, :math:`h' = \alpha h + (1 - \alpha) f(U h + W x)`, is a time step
of the equation :math:`\tau \dot h = -h + f(U h + W x)`. This page shows the time constant of a gate, its effect on the
eigenvalues of a network, and a gate that turns the state (ES2N). Then units learn their own time constants, the input
opens gates, and a network learns from data at irregular times.
"""

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.equations import tanh

rng = np.random.default_rng(0)

# %%
# Two readings of one gate
# ------------------------
#
# Without input a unit falls as :math:`\alpha^t`: to :math:`1/e` in :math:`-1 / \ln \alpha` steps. For forward Euler the
# gate is :math:`\alpha = 1 - dt / \tau`, which gives a time constant of :math:`1 / (1 - \alpha)`. For exponential Euler
# it is :math:`\alpha = e^{-dt / \tau}`, which is exact. The two agree for gates near 1, up to half a step.

gates = np.linspace(0.02, 0.995, 200)
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
rd.plot.axes(ax)
for k, method in enumerate(("exponential_euler", "euler")):
    ax.semilogy(gates, rd.ode.time_constant(gates, method=method), color=rd.plot.colour(k), label=method)
ax.set(xlabel=r"$\alpha$", ylabel=r"time constant $\tau / dt$")
ax.legend(frameon=False)
for alpha in (0.5, 0.9, 0.99):
    exact, euler = rd.ode.time_constant(alpha), rd.ode.time_constant(alpha, method="euler")
    print(f"alpha = {alpha}: -1 / ln alpha = {exact:.3f} steps, 1 / (1 - alpha) = {euler:.3f}")

# %%
# The difference matters for large steps. We solve :math:`\tau \dot h = -h + 1` from 0 with two steps. Forward Euler
# overshoots for :math:`dt > \tau`, where its gate would be negative; `rd.ode.gate` refuses that.

leak = rd.ode.Field(
    "leak",
    state=("h",),
    drives=("n",),
    rate=lambda drive, state: {"h": drive.n - state.h},
    linear=lambda: {"h": -1.0},
)
params = {"U": np.zeros((1, 1)), "b": np.ones(1)}
fine = np.linspace(0, 6, 200)
fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
rd.plot.axes(ax).plot(fine, 1 - np.exp(-fine), color="black", lw=0.8, label="exact")
for k, method in enumerate(("exponential_euler", "euler")):
    for dt, marker in ((0.4, "."), (1.8, "o")):
        cell = rd.ode.discretize(leak, method, dt=dt)
        run = rd.forward(cell, params, steps=int(6 / dt))
        t = dt * (1 + np.arange(run.steps))
        ax.plot(t, run.output[:, 0], marker, color=rd.plot.colour(k), label=f"{method}, $dt = {dt}\\,\\tau$")
ax.set(xlabel=r"time ($\tau$)", ylabel="$h$")
ax.legend(frameon=False, fontsize="small", bbox_to_anchor=(1, 0.9), loc="upper left")

# %%
# What a gate does to the spectrum
# --------------------------------
#
# Near a fixed point the Jacobian of a step is :math:`\alpha I + (1 - \alpha) J`. Every eigenvalue :math:`\mu` of
# :math:`J` moves on a straight line to 1: a gate makes all modes slower. ES2N [1]_ keeps :math:`\alpha\, O h` instead,
# with :math:`O` orthogonal. Its spectrum is near a circle of radius :math:`\alpha`.

units = 100
J = 0.9 * rng.standard_normal((units, units)) / np.sqrt(units)
O = np.linalg.qr(rng.standard_normal((units, units)))[0]
fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="compressed", sharex=True, sharey=True)
circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
for ax, alpha in zip(axes, (0.0, 0.5, 0.9)):
    gated = rd.ode.gated_spectrum(alpha, J)
    turned = np.linalg.eigvals(alpha * O + (1 - alpha) * J)
    rd.plot.axes(ax).plot(circle.real, circle.imag, color="black", lw=0.8)
    ax.plot(gated.real, gated.imag, ".", color=rd.plot.colour(0), label=r"$\alpha I + (1 - \alpha) J$")
    ax.plot(turned.real, turned.imag, ".", color=rd.plot.colour(1), label=r"$\alpha O + (1 - \alpha) J$")
    ax.set_title(rf"$\alpha = {alpha}$")
    ax.set_xlabel(r"Re $\mu$")
    ax.set_aspect("equal")
axes[0].set_ylabel(r"Im $\mu$")
fig.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside right")

# %%
# The effect on memory: we drive random networks with noise. A linear regression computes the input of :math:`k` steps
# ago from their states; it is fitted on the first half of the run. On the second half, it explains a share of the
# input's variance. The sum of these shares over all :math:`k` is the memory capacity of the network. It is at most the
# number of units [2]_.

T, washout, lags = 3000, 200, np.arange(130)
x = rng.uniform(-0.8, 0.8, (T, 1))
past = np.stack([x[washout - lag : T - lag, 0] for lag in lags], axis=1)
half = len(past) // 2
reservoirs = {
    "no gate": (rd.cells.elman(), J),
    r"leaky, $\alpha = 0.5$": (rd.cells.leaky(0.5), J),
    r"leaky, $\alpha = 0.9$": (rd.cells.leaky(0.9), J),
    r"ES2N, $\alpha = 0.9$": (rd.cells.es2n(0.9), np.concatenate([J, O])),
}
W = 0.1 * rng.uniform(-1, 1, (units, 1))
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
rd.plot.axes(ax)
for k, (name, (cell, U)) in enumerate(reservoirs.items()):
    states = rd.forward(cell, {"W": W, "U": U, "b": np.zeros(units)}, x).output[washout:]
    readout = np.linalg.lstsq(states[:half], past[:half], rcond=1e-8)[0]
    left = past[half:] - states[half:] @ readout
    found = np.maximum(0, 1 - left.var(axis=0) / past[half:].var(axis=0))
    ax.plot(lags, found, color=rd.plot.colour(k), label=f"{name}: capacity {found.sum():.0f}")
    print(f"{name}: memory capacity {found.sum():.1f} of {units}")
ax.set(xlabel="lag (steps)", ylabel="share of the variance found")
ax.legend(frameon=False)

# %%
# A leak blurs the past. All its units decay in the same way, so their differences are soon smaller than the errors from
# the tanh. States that are turned stay different, and the regression finds them again.
#
# Units that find their time constants
# ------------------------------------
#
# With ``gate="learnt"`` each unit trains its own :math:`\alpha`. The target is noise, filtered with time constants of 3
# and of 30 steps. All units begin near :math:`\alpha = 0.9`, a time constant of 9.5 steps. We take linear units with
# recurrent weights of 0, so that the gates are the only memory.

cell, hidden, steps, batch = rd.cells.leaky(0.9, "identity", gate="learnt"), 8, 150, 8
x = rng.standard_normal((steps, batch, 1))
taus = np.array([3.0, 30.0])
target, state = np.empty((steps, batch, 2)), np.zeros((batch, 2))
for step in range(steps):
    keep = rd.ode.gate(taus)
    state = keep * state + np.sqrt(1 - keep**2) * x[step]
    target[step] = state

network = {"cell": cell.init(1, hidden, rng=0, dtype="float64", recurrent="zeros")}
network["cell"]["alpha"] += 0.1 * rng.standard_normal(hidden)
network["readout"] = 0.1 * rng.standard_normal((2, hidden))
optimizer, updates, losses = rd.training.adam(), 500, []
state = optimizer.init(network)
for update in range(updates):
    run = rd.forward(cell, network["cell"], x)
    error = run.output @ network["readout"].T - target
    losses.append(np.mean(error**2))
    scaled = 2 * error / error.size
    grads = {
        "cell": rd.backward(run, scaled @ network["readout"]).params,
        "readout": np.einsum("tbo,tbh->oh", scaled, run.output),
    }
    grads["cell"]["U"] = np.zeros((hidden, hidden))
    change, state = optimizer.update(grads, state, network, 0.03 * (1 - update / updates))
    network = rd.training.apply_updates(network, change)

alphas = 1 / (1 + np.exp(-network["cell"]["alpha"]))
found = np.sort(rd.ode.time_constant(alphas))
print(f"mean squared error {losses[0]:.3f}, after training {losses[-1]:.4f}; time constants {found.round(1)}")
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
rd.plot.axes(ax).hist(found, bins=np.geomspace(0.3, 300, 25), color=rd.plot.colour(0))
ax.yaxis.get_major_locator().set_params(integer=True)
for tau in taus:
    ax.axvline(tau, color="black", ls="--", lw=1)
ax.set(xscale="log", xlabel="time constant (steps)", ylabel="units")
ax.set_title("8 units after training; dashed: the time constants of the task")

# %%
# Gates that the input opens
# --------------------------
#
# With ``gate="input"`` a unit computes its :math:`\alpha_t = \sigma(W x_t + b)` from the input. Long expressive memory
# [3]_ computes two gates from input and state. Such a unit can hold a number for a long time, and is fast in between.
# The adding problem needs this: of 400 random numbers two are marked, and their sum is the target after the last one.
# Three networks of 64 units were trained beforehand on the same batches with the same rate
# (``python docs/make_adding_table.py``):

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
path = next(p for p in (here, *here.parents) if (p / "docs").is_dir()) / "docs/_static/data/adding.csv"
with path.open() as file:
    rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rd.plot.axes(ax).axhline(1 / 6, color="black", lw=0.8, ls="--", label="predicting 1 always")
for k, name in enumerate(dict.fromkeys(row["network"] for row in rows)):
    update, loss = np.array([(float(r["update"]), float(r["loss"])) for r in rows if r["network"] == name]).T
    ax.semilogy(update, loss, color=rd.plot.colour(k), label=name)
    print(f"{name:28s} mean squared error {loss[-1]:.4f} in the last 20 updates")
ax.set(xlabel="update", ylabel="mean squared error, mean of 20 updates", title="adding problem, 400 steps")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))

# %%
# Gates that the input opens hold the first number until the second one comes. The network with learnt gates has the
# same gates at every step. After as many updates it has found nothing better than the mean: a gate that lets a number
# in also forgets it.
#
# Data that come at irregular times
# ---------------------------------
#
# If the time between two samples varies, one :math:`\alpha` cannot be right for all gaps. The same field with the step
# as a signal has a gate for each gap: :math:`\alpha_t = e^{-dt_t / \tau}`. We sample one signal with gaps between 0.05
# and 3 time constants, and compare with the exact solution of the filter.

sampled = rd.ode.Field(
    "filter", ("h",), ("n",), lambda drive, state: {"h": tanh(drive.n) - state.h}, linear=lambda: {"h": -1.0}
)
gaps = np.exp(rng.uniform(np.log(0.05), np.log(3.0), (200, 1)))
x = rng.standard_normal((200, 1, 1))
params = {"W": np.ones((1, 1)), "U": np.zeros((1, 1)), "b": np.zeros(1)}
exact, h = np.empty(200), 0.0
for step in range(200):  # the input is held from one sample to the next
    h = np.tanh(x[step, 0, 0]) + (h - np.tanh(x[step, 0, 0])) * np.exp(-gaps[step, 0])
    exact[step] = h
for method in ("exponential_euler", "imex_euler", "euler"):
    run = rd.forward(rd.ode.discretize(sampled, method, step="signal"), params, x, signals={"dt": gaps})
    print(f"{method:18s} with the true gaps: largest error {np.abs(run.output[:, 0, 0] - exact).max():.1e}")
run = rd.forward(rd.ode.discretize(sampled, "exponential_euler", dt=float(gaps.mean())), params, x)
print(
    f"{'exponential_euler':18s} with the mean gap:  largest error {np.abs(run.output[:, 0, 0] - exact).max():.1e}"
)

# %%
# A model learns from such data if its batches have the gaps as the signal "dt", which every cell with irregular steps
# reads. The task is a filter of an input that is constant between samples: the difference of two leaks, with time
# constants of 0.5 and 4. We train the same network three times: with the gaps as the step, with the mean gap as the
# step, and with the mean gap as the step and the gap as a second input. Units learn their time constants.

units, T, B = 16, 60, 32
network = rd.ode.Field(
    "rate network",
    state=("h",),
    drives=("n",),
    rate=lambda drive, state, param: {"h": (tanh(drive.n) - state.h) / param.tau},
    units=(rd.cells.Unit("tau", initial=(0.3, 6.0), low=0.0),),
    linear=lambda param: {"h": -1 / param.tau},
)


def samples(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs (T, B, 1), gaps (T, B) and targets (T, B, 1)."""
    draw = np.random.default_rng(seed)
    x, gap = draw.standard_normal((T, B)), np.exp(draw.uniform(np.log(0.05), np.log(3.0), (T, B)))
    y, target = np.zeros((2, B)), np.empty((T, B))
    for step in range(T):
        keep = np.exp(-gap[step] / np.array([[0.5], [4.0]]))
        y = keep * y + (1 - keep) * x[step]
        target[step] = y[0] - y[1]
    return x[..., None].astype("float32"), gap.astype("float32"), target[..., None].astype("float32")


def batch(kind: str, seed: int) -> rd.nn.Batch:
    """Return what the network of a kind is given."""
    x, gap, target = samples(seed)
    if kind == "gap as an input":
        x = np.concatenate([x, gap[..., None]], axis=2)
    return rd.nn.Batch(x, target, signals={"dt": gap} if kind == "gap as the step" else None)


mean_gap = float(np.mean(samples(0)[1]))
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rd.plot.axes(ax)
for k, kind in enumerate(("gap as the step", "gap as an input", "mean gap")):
    if kind == "gap as the step":
        cell = rd.ode.discretize(network, "exponential_euler", step="signal")
    else:
        cell = rd.ode.discretize(network, "exponential_euler", dt=mean_gap)
    model = rd.nn.Model(
        cell, units, input_size=1 + (kind == "gap as an input"), output_size=1, loss="mean_squared_error"
    )
    result = rd.training.fit(
        model,
        model.init(rng=0),
        [batch(kind, seed) for seed in range(40)],
        optimizer=rd.training.adam(),
        learning_rate=rd.training.cosine(0.01, 1000),
        updates=1000,
        clip_norm=1.0,
        progress=False,
    )
    error = rd.training.evaluate(model, result.params, [batch(kind, 1000 + seed) for seed in range(10)])
    ax.semilogy(rd.plot.smooth(result.history["loss"], 20), color=rd.plot.colour(k), label=kind)
    print(f"{kind:16s} mean squared error on new sequences {error:.5f}")
ax.axhline(np.mean(samples(1000)[2] ** 2), color="black", lw=0.8, ls="--", label="variance of the target")
ax.set(xlabel="update", ylabel="mean squared error, mean of 20 updates")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %%
# With the mean gap, the network cannot learn anything about time. With the gap as an input, it has to learn how to make
# a gate of it. With the gap as the step, the gate is there from the beginning.

# %%
# What to take with you
# ---------------------
#
# * The time constant of a gate is :math:`-1 / \ln \alpha` steps: for exponential Euler exactly, for forward Euler if
#   the gate is near 1.
# * A gate pulls the whole spectrum towards 1 and makes a network slow. An orthogonal matrix in its place makes a
#   network remember.
# * Each unit can learn its time constant, and gaps in the data belong into the gate.
#
# .. rubric:: References
#
# .. [1] Ceni and Gallicchio, Edge of stability echo state network, IEEE Transactions on Neural Networks and Learning
#    Systems (2024).
# .. [2] Jaeger, Short term memory in echo state networks, GMD Report 152 (2001).
# .. [3] Rusch, Mishra, Erichson and Mahoney, Long expressive memory for sequence modeling, ICLR 2022.
