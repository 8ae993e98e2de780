r"""
An RNN is an Euler solver
=========================

Any recurrent step :math:`h' = F(h, x)` is a step of the forward Euler method,

.. math::

   h' = h + dt \, f(h, x), \qquad f = \frac{F(h, x) - h}{dt},

for the differential equation :math:`\dot h = f(h, x)`. This is more than another notation. A solver has an order, which
says how its error falls with the step. It has a region of stability, which says for which modes it is stable. And other
solvers can step the same network. This page shows all three, and follows the modes of a network through the region
during a training.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import recurrent_dynamics as rd
from recurrent_dynamics.equations import tanh

rng = np.random.default_rng(0)

# %%
# Every cell has a field
# ----------------------
#
# `vector_field` computes the field from the equations of a cell, and `discretize` makes a cell of a field. With forward
# Euler and the same step, this is the original cell.

elman = rd.cells.elman()
again = rd.ode.discretize(rd.ode.vector_field(elman), "euler", dt=1.0)
params, x = elman.init(3, 16, dtype="float64"), rng.standard_normal((50, 1, 3))
difference = rd.forward(again, params, x).output - rd.forward(elman, params, x).output
print(f"an Elman network and forward Euler with dt = 1: largest difference {np.abs(difference).max():.0e}")

# %%
# And every field has cells
# -------------------------
#
# A field is written like a cell, but its function returns the rate of change. This is the usual network of theoretical
# neuroscience, with a time constant of 1 for all units.

rates = rd.ode.Field(
    "rate network",
    state=("h",),
    drives=("n",),
    rate=lambda drive, state: {"h": tanh(drive.n) - state.h},
)
units = 32
params = rates.init(0, units, dtype="float64")
params["U"] = 1.8 * rng.standard_normal((units, units)) / np.sqrt(units)
start = rng.standard_normal(units)

# %%
# We solve it over 8 time constants: once by SciPy with a very small error, and by three methods with smaller and
# smaller steps. All use the same parameters. The error of a method of order :math:`p` falls as :math:`dt^p`.

time = 8.0
flow = rates.flow(params)
exact = solve_ivp(lambda t, y: flow.field(y[None])[0], (0, time), start, "DOP853", rtol=1e-12, atol=1e-12).y[
    :, -1
]

counts = np.array([8, 16, 32, 64, 128, 256])
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
rd.plot.axes(ax)
for k, method in enumerate(("euler", "heun", "rk4")):
    errors = []
    for n in counts:
        cell = rd.ode.discretize(rates, method, dt=time / n)
        final = rd.forward(cell, params, steps=int(n), initial={"h": start}).final["h"]
        errors.append(np.linalg.norm(final - exact) / np.linalg.norm(exact))
    order = np.log2(errors[-2] / errors[-1])
    print(f"{method:6s} order {rd.ode.METHODS[method].order}, observed {order:.2f}")
    ax.loglog(
        time / counts, errors, "o-", ms=4, color=rd.plot.colour(k), label=f"{method}: order {order:.2f}"
    )
ax.set(xlabel="step $dt$ (time constants)", ylabel="relative error at the end")
ax.legend(frameon=False)

# %%
# A step of RK4 evaluates the field four times, with the same matrix :math:`U` each time, and is still one cell:
# everything that holds for cells holds for it. Backpropagation through it is the exact derivative of the numbers that
# the method computed.
#
# The region of stability
# -----------------------
#
# Near a fixed point a network is a sum of modes :math:`\dot y = \lambda y`, :math:`\lambda` an eigenvalue of the
# Jacobian of the field. A step multiplies a mode by :math:`R(z)`, :math:`z = dt\, \lambda`. For forward Euler
# :math:`R(z) = 1 + z`: a mode shrinks where :math:`z` lies in the disc about :math:`-1`. Other methods have other
# regions; :math:`R` is their Taylor polynomial of :math:`e^z`.

# Jacobian at the fixed point 0: U - 1
found = {
    method: rd.ode.linear_stability(rates, params, np.zeros((1, units)), method, dt=1.2)
    for method in ("euler", "heun", "rk4")
}
fig, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), layout="compressed", sharex=True, sharey=True)
for k, (method, stability) in enumerate(found.items()):
    stability.plot(ax=axes[k], index=k, limits=(-3.6, 2.4, -3, 3))
    axes[k].set_title(f"{method}, $dt = 1.2$")
    print(
        f"{method:6s} stable on the real axis to {rd.ode.stability_interval(method):.4f}, on the imaginary axis to "
        f"{rd.ode.stability_interval(method, 'imaginary'):.4f}"
    )

# %%
# Filled dots are modes that grow in a step, hollow dots are modes that shrink. Modes on the right of the imaginary axis
# grow in the differential equation too, for any step. They make this network active. The filled dots on the left of the
# axis grow because of the method.
#
# A network while it is trained
# -----------------------------
#
# Now we train such a network with forward Euler and a step of half a time constant, as is usual. A pulse up or down
# says how fast the output has to oscillate afterwards.

dt, steps, hidden = 0.5, 80, 24
cell = rd.ode.discretize(rates, "euler", dt=dt)
periods = np.array([20.0, 32.0])  # steps
x = np.zeros((steps, 2, 1))
x[:4, :, 0] = [-1, 1]
t = np.arange(steps)[:, None]
target = np.where(t >= 10, np.sin(2 * np.pi * (t - 10) / periods), 0.0)

network = {"cell": cell.init(1, hidden, dtype="float64")}
network["cell"]["U"] = 1.1 * rng.standard_normal((hidden, hidden)) / np.sqrt(hidden)
network["cell"]["W"] = rng.standard_normal((hidden, 1))
network["readout"] = rng.standard_normal(hidden) / np.sqrt(hidden)


def loss_and_grad(p):
    """Return the mean squared error after the pulse, and its gradients."""
    run = rd.forward(cell, p["cell"], x)
    error = (run.output @ p["readout"] - target) / target.size
    error[:10] = 0
    back = rd.backward(run, 2 * error[..., None] * p["readout"])
    readout = 2 * np.einsum("tb,tbh->h", error, run.output)
    return float(target.size * np.sum(error**2)), {"cell": back.params, "readout": readout}


optimizer, updates, snapshots, losses = rd.training.adam(), 1500, [], []
state = optimizer.init(network)
for update in range(updates):
    snapshots.append(network)
    loss, grads = loss_and_grad(network)
    losses.append(loss)
    change, state = optimizer.update(grads, state, network, 0.005 * (1 - update / updates))
    network = rd.training.apply_updates(network, change)
snapshots.append(network)
print(f"mean squared error {losses[0]:.3f} before training, {losses[-1]:.6f} after {updates} updates")

# %%
# Along a run each step has its own Jacobian. `step_stability` takes any network as forward Euler and compares the
# eigenvalues with the disc; drawn is every ninth step.

chosen = [0, 100, updates]
fig, axes = plt.subplots(1, 3, figsize=(9.5, 3.6), layout="compressed", sharex=True, sharey=True)
for ax, k in zip(axes, chosen):
    run = rd.forward(cell, snapshots[k]["cell"], x)
    rd.ode.step_stability(run, steps=slice(20, None, 9)).plot(ax=ax, limits=(-2.1, 0.6, -1.35, 1.35))
    ax.set_title(f"after {k} updates")
    report = rd.ode.step_stability(run, steps=slice(20, None))
    print(
        f"after {k:4d} updates: largest modulus of a multiplier from {report.radius.min():.3f} to "
        f"{report.radius.max():.3f} along the run, above 1 in {report.outside.mean():.0%} of the steps"
    )

# %%
# Training gathers modes at the right edge of the disc, at :math:`z = 0`, where a multiplier is about 1. They cross it
# in both directions along the run: the oscillation neither dies out nor grows.
#
# Was it the equation or the solver that learnt?
# ----------------------------------------------
#
# The parameters belong to the field, so that we can run the trained network with another method. If it had learnt
# a differential equation, a better solver would not matter.

fig, axes = plt.subplots(3, 1, figsize=(7.5, 5), layout="constrained", sharex=True)
readouts = {
    f"forward Euler, $dt = {dt}$, as trained": ("euler", 1),
    "forward Euler, a quarter of the step": ("euler", 4),
    f"RK4, $dt = {dt}$": ("rk4", 1),
}
for ax, (name, (method, finer)) in zip(axes, readouts.items()):
    other = rd.ode.discretize(rates, method, dt=dt / finer)
    run = rd.forward(other, network["cell"], np.repeat(x, finer, axis=0))
    output = run.output[finer - 1 :: finer] @ network["readout"]
    error = np.mean((output - target)[10:] ** 2)
    rd.plot.axes(ax).plot(target[:, 0], color="black", lw=0.8, ls="--", label="target")
    ax.plot(output[:, 0], color=rd.plot.colour(0), label="network")
    ax.set_title(f"{name}: mean squared error {error:.4f}", fontsize="medium")
    ax.set_ylabel("output")
    print(f"{name}: mean squared error {error:.5f}")
axes[0].legend(frameon=False, fontsize="small", loc="lower right", ncols=2)
axes[-1].set_xlabel("step of the network as trained")
plt.show()

# %%
# It does matter: solved more exactly, the same equation is a damped oscillator. Forward Euler adds energy to
# oscillations, because :math:`|1 + i\, dt\, \omega| > 1`, and training has compensated this by damping. A trained
# network is a map in the first place. If you want a meaningful differential equation, train with a step or a method
# whose error is small enough; the first figure shows which.
#
# What to take with you
# ---------------------
#
# * A cell is forward Euler of the field :math:`(F(h) - h) / dt`; other methods of that field are cells with the same
#   parameters.
# * The error of a method of order :math:`p` is proportional to :math:`dt^p`. A mode neither grows nor fades where
#   :math:`|R(dt\, \lambda)|` is about 1.
# * Training moves modes to the edge of the region, and fits the weights to the method.
