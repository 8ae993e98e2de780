r"""
Stiff dynamics and implicit cells
=================================

A network with fast and slow parts is stiff. The slow parts are of interest, but an explicit method must take the small
steps of the fast modes, long after these have settled. An implicit method solves for the state at the end of the step,
:math:`h' = h + dt\, f(h')`. It has no limit of stability if the equation is damped, but solves a system of equations in
each step. We build a stiff network, show which methods fail on it and why, and train through the solver.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Unit
from recurrent_dynamics.equations import tanh

rng = np.random.default_rng(0)

# %%
# Ten slow units, and ten fast ones that hold each other down
# -----------------------------------------------------------
#
# All units follow :math:`\tau_i \dot h_i = -h_i + \tanh(U h + W x)_i`, with :math:`\tau = 1` for the slow and 0.02 for
# the fast half. The fast units inhibit each other strongly. That makes one mode faster than any unit: the sum of the
# fast units is pulled back 40 times as hard as a single one.

network = rd.ode.Field(
    "fast and slow",
    state=("h",),
    drives=("n",),
    rate=lambda drive, state, param: {"h": (tanh(drive.n) - state.h) / param.tau},
    units=(Unit("tau", initial=1.0, low=0.0),),
    linear=lambda param: {"h": -1 / param.tau},
)
units, fast = 20, 10
tau = np.where(np.arange(units) < fast, 1.0, 0.02)
params = network.init(1, units, rng=0, dtype="float64")
params["U"] = 1.5 * rng.standard_normal((units, units)) / np.sqrt(units)
params["U"][fast:, fast:] = -40 / fast
params["W"] = rng.standard_normal((units, 1))
params["tau"] = np.log(np.expm1(tau))  # stored so that it stays positive
start = 0.5 * rng.standard_normal(units)

flow = network.flow(params, input=np.array([0.5]))
time = 2.0
found = solve_ivp(
    lambda t, y: flow.field(y[None])[0], (0, time), start, "Radau", rtol=1e-10, atol=1e-12, dense_output=True
)
exact = found.y[:, -1]
eigenvalues = np.linalg.eigvals(flow.jacobian(exact[None])[0])
print(f"rates of the modes: {-eigenvalues.real.max():.2f} to {-eigenvalues.real.min():.0f} per unit of time")
for method in ("euler", "rk4", "implicit_euler"):
    print(f"{method:15s} largest stable step {rd.ode.largest_stable_step(eigenvalues, method):.5f}")

# %%
# Which methods are right at which step
# -------------------------------------
#
# Exponential and IMEX Euler treat the leak :math:`-h / \tau` exactly or implicitly. This would be enough for a stiff
# leak. Here the inhibition is stiff, which is in :math:`\tanh(U h)`, and they are no better than forward Euler.


def final(method: str, n: int, begin: float = 0.0) -> np.ndarray:
    """Return the last state after n steps of a method, from the exact state at some time on."""
    x, options = np.full((n, 1), 0.5), {"initial": {"h": found.sol(begin)}}
    dt = (time - begin) / n
    if rd.ode.METHODS[method].kind == "implicit":
        return rd.ode.implicit_forward(network, params, x, method=method, dt=dt, **options).final["h"]
    return rd.forward(rd.ode.discretize(network, method, dt=dt), params, x, **options).final["h"]


fig, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
rd.plot.axes(ax)
implicit = {"implicit_euler", "implicit_midpoint"}
for k, method in enumerate(("euler", "rk4", "exponential_euler", "imex_euler", *sorted(implicit))):
    counts = 2 ** np.arange(2, 8) if method in implicit else 2 ** np.arange(2, 14)
    errors = [np.abs(final(method, n) - exact)[:fast].max() for n in counts]
    style = "o-" if method in implicit else ".--"
    ax.loglog(time / counts, errors, style, color=rd.plot.colour(k), label=method)
ax.set(xlabel="step $dt$", ylabel="largest error of a slow unit")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))

# %%
# Above a step of 0.001 the errors of all explicit methods are as large as the solution; only the tanh bounds their
# oscillations. The implicit methods follow the slow units with steps a hundred times as long, and the implicit midpoint
# rule is the more exact of the two. Its line bends for small steps: the fast units begin far from their equilibrium,
# and a step that does not resolve their decay lowers the order of the rule. From a state where they have settled it has
# order 2.

errors = [np.abs(final("implicit_midpoint", n, begin=0.3) - exact)[:fast].max() for n in (16, 32)]
print(f"implicit midpoint rule, fast units settled: observed order {np.log2(errors[0] / errors[1]):.2f}")

# %%
# What implicit methods do to fast modes
# --------------------------------------
#
# For :math:`dt\, \lambda \to -\infty` implicit Euler has :math:`R \to 0`: a fast mode vanishes after one step. The
# midpoint rule has :math:`R \to -1`: the mode neither grows nor fades, and changes its sign in every step.

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
steps = 20
fine = np.linspace(0, time, 800)
for ax, unit, name in zip(axes, (0, fast), ("a slow unit", "a fast unit")):
    rd.plot.axes(ax).plot(fine, found.sol(fine)[unit], color="black", lw=0.8, label="exact")
    for k, method in enumerate(sorted(implicit)):
        run = rd.ode.implicit_forward(
            network, params, np.full((steps, 1), 0.5), method=method, dt=time / steps, initial={"h": start}
        )
        times, values = time / steps * np.arange(steps + 1), np.append(start[unit], run.output[:, unit])
        ax.plot(times, values, "o-", ms=3, lw=0.8, color=rd.plot.colour(k), label=method)
        if unit:
            print(
                f"{method}: {run.iterations.mean():.1f} of Newton's steps a step, residual {run.residual.max():.0e}"
            )
    ax.set(xlabel="time", title=name)
axes[0].set_ylabel("state $h$")
axes[0].legend(frameon=False)

# %%
# Training through the solver
# ---------------------------
#
# The gradients of an implicit run follow from the implicit function theorem: one more solve in each step, with the
# transposed matrix, and no unrolled iteration. We compare one gradient with a finite difference. Then we train the mean
# of the slow units to follow a slow wave, with 40 steps of 0.1; forward Euler would need 4000.

steps, dt = 40, 0.1
x = np.sin(np.arange(steps) * dt * 2)[:, None]
target = 0.5 * np.sin(np.arange(1, steps + 1) * dt * 2 - 1.0)
readout = np.where(np.arange(units) < fast, 1 / fast, 0.0)


def loss_and_grad(p):
    """Return the mean squared error of the mean of the slow units, and its gradients."""
    run = rd.ode.implicit_forward(network, p, x, dt=dt)
    error = run.output @ readout - target
    return float(np.mean(error**2)), run.backward(2 * error[:, None] * readout / steps).params


loss, grads = loss_and_grad(params)
direction = {name: rng.standard_normal(value.shape) for name, value in params.items()}
losses = [loss_and_grad({k: v + s * direction[k] for k, v in params.items()})[0] for s in (1e-5, -1e-5)]
slope = sum(np.sum(grads[k] * direction[k]) for k in params)
print(f"directional derivative {slope:.8f}, by a central difference {(losses[0] - losses[1]) / 2e-5:.8f}")

trained, result = rd.training.minimize(loss_and_grad, params, options={"maxiter": 15})
print(f"mean squared error {loss:.4f} before, {result.fun:.6f} after {result.nit} iterations")
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
rd.plot.axes(ax).plot(target, color="black", lw=0.8, ls="--", label="target")
for k, (name, p) in enumerate({"before training": params, "after training": trained}.items()):
    ax.plot(
        rd.ode.implicit_forward(network, p, x, dt=dt).output @ readout, color=rd.plot.colour(k), label=name
    )
ax.set(xlabel="step", ylabel="mean of the slow units")
ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
plt.show()

# %%
# What to take with you
# ---------------------
#
# * The fastest mode sets the largest stable step of an explicit method, even after the mode has decayed.
# * A linear part in the field helps if the leak is stiff. If the coupling is stiff, only an implicit method helps.
# * Use implicit Euler if fast modes shall vanish, and the midpoint rule for accuracy if no mode is very fast.
# * The solve in each step costs :math:`S^3`. For a network that is not stiff, an explicit cell is much faster.
