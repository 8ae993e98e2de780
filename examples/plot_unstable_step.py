r"""
Exploding gradients are an unstable step
========================================

Backpropagation through a step of forward Euler, :math:`h' = h + dt\, f(h)`, multiplies a gradient by
:math:`(I + dt\, J)^\top`. This is itself a step of forward Euler, for the adjoint equation
:math:`\dot \lambda = J^\top \lambda` backwards in time, and :math:`J^\top` has the eigenvalues of :math:`J`. Both
directions therefore have the same limit of stability. If the step is too large for the differential equation, gradients
explode; a smaller step or a gate helps in both directions. We check this first in a case with a known solution, then in
a network.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

rng = np.random.default_rng(0)

# %%
# A damped oscillation
# --------------------
#
# The modes :math:`\lambda = -\gamma \pm i \omega` are damped by the equation. Forward Euler damps them only for
# :math:`dt < 2 \gamma / (\gamma^2 + \omega^2)`, and without damping for no step at all. We take the linear cell
# :math:`h' = (I + dt\, A)\, h`, an oscillator of two units, with steps around that limit.

gamma, omega = 0.1, 1.0
A = np.array([[-gamma, omega], [-omega, -gamma]])
limit = rd.ode.largest_stable_step(np.linalg.eigvals(A))
print(
    f"largest stable step {limit:.6f}, 2 gamma / (gamma^2 + omega^2) = {2 * gamma / (gamma**2 + omega**2):.6f}"
)

linear, steps = rd.cells.linear(), 150
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
rd.plot.axes(axes[1])
for k, share in enumerate((0.5, 1.0, 1.5)):
    dt = share * limit
    params = {"U": np.eye(2) + dt * A, "b": np.zeros(2)}
    run = rd.forward(linear, params, steps=steps, initial={"h": np.array([1.0, 0.0])})
    back = rd.backward(run, d_final={"h": np.array([1.0, 0.0])}).states["h"]
    rd.plot.stability_region(
        "euler", dt * np.linalg.eigvals(A), shade=k == 0, index=k, limits=(-0.5, 0.2, -0.35, 0.35), ax=axes[0]
    )
    label = f"$dt$ = {share:g} of the limit"
    axes[1].semilogy(np.linalg.norm(run.output, axis=-1), color=rd.plot.colour(k), label=label)
    axes[1].semilogy(np.linalg.norm(back, axis=-1), "--", color=rd.plot.colour(k))
    rate = np.log(np.linalg.norm(back[0])) / steps
    print(
        f"dt = {share:g} of the limit: gradients grow by {rate:+.5f} a step, ln |1 + dt lambda| = "
        f"{np.log(abs(1 + dt * (-gamma + 1j * omega))):+.5f}"
    )
axes[0].set_title(r"$dt\,\lambda$ and the region of forward Euler")
axes[1].set(xlabel="step", title="norm of the state, and of the gradient (dashed)")
axes[1].legend(frameon=False)

# %%
# The state grows to the right, the gradient to the left, both by the factor :math:`|1 + dt\, \lambda|` in each step.
#
# A network with a leak
# ---------------------
#
# Now a network of rectified units with a leak, :math:`h' = \alpha h + (1 - \alpha)\, \mathrm{relu}(U h + W x)`, as in
# echo state networks and in models of cortex. Its step is :math:`1 - \alpha`, and the eigenvalues of a step are those
# of :math:`\alpha I + (1 - \alpha) D U`, with a 1 in the diagonal :math:`D` for every unit that is active. We take
# :math:`U` antisymmetric: then all eigenvalues of :math:`D U` are imaginary, whatever :math:`D`, and all modes of the
# equation :math:`\dot h = -h + \mathrm{relu}(U h + W x)` have the real part -1. The equation is damped everywhere. The
# solver may be unstable.

units, T = 48, 80
S = rng.standard_normal((units, units)) / np.sqrt(units)
params = {"W": 0.3 * rng.standard_normal((units, 2)), "U": 1.5 * (S - S.T), "b": np.zeros(units)}
x = np.cumsum(rng.standard_normal((T, 4, 2)), axis=0) / 5

found = {}
for alpha in (0.2, 0.5, 0.9):
    run = rd.forward(rd.cells.leaky(alpha, "relu"), params, x)
    found[alpha] = rd.ode.step_stability(run)
    print(f"alpha = {alpha}: {found[alpha]}")
print(f"smallest stable gate, were all units active: {rd.ode.smallest_gate(params['U']):.3f}")

fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharex=True, sharey=True)
for k, (alpha, report) in enumerate(found.items()):
    report.plot(ax=axes[k], index=k, limits=(-3.2, 1.4, -2.5, 2.5))
    axes[k].set_title(rf"$\alpha = {alpha}$, all steps")

# %%
# The gate :math:`\alpha` moves all modes to :math:`z = 0` on straight lines. The printed report says how much larger or
# smaller a step would be inside everywhere. We measure the gradient of the last output by earlier states, with the same
# weights and inputs.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
rd.plot.axes(ax)
for k, (alpha, report) in enumerate(found.items()):
    run = rd.forward(rd.cells.leaky(alpha, "relu"), params, x)
    back = rd.backward(run, d_final={"h": np.ones((4, units)) / np.sqrt(units)}).states["h"]
    norms = np.linalg.norm(back, axis=-1).mean(axis=1)[::-1]
    label = rf"$\alpha = {alpha}$: {report.outside.mean():.0%} of steps outside"
    ax.semilogy(norms, color=rd.plot.colour(k), label=label)
ax.set(xlabel="lag (steps)", ylabel="norm of the gradient")
ax.legend(frameon=False)

# %%
# With :math:`\alpha = 0.2` gradients explode. With 0.5 most steps have a mode that grows, but gradients do not explode:
# units fall silent, the growing mode changes from step to step, and the next step may shrink a vector that one step has
# stretched. A step outside the region is a warning, not a proof. A run inside the region is safe in the long run.

# %%
# Where the eigenvalues say nothing
# ---------------------------------
#
# A chain of units that excite each other in a line has the eigenvalues of its leak alone. They are inside the region
# for any step below 2. Nevertheless a state grows along the chain before it fades, because the matrix is far from
# normal. The numerical range bounds this growth: if it is inside the disc, no power of the step exceeds 2.

chain = 1.5 * np.eye(20, k=-1) - np.eye(20)
stability = rd.ode.LinearStability.of(chain, "euler", dt=0.5)
print(f"largest stable step: by eigenvalues {stability.largest_step:.3f}", end=", ")
print(f"by the numerical range {stability.numerical_range_step():.3f}")
print(f"smallest perturbation of dt J that is unstable: {stability.distance():.1e}")
calm = rd.ode.LinearStability.of(0.5 * np.eye(20, k=-1) - np.eye(20), "euler", dt=0.5)
print(f"with weights of 0.5 instead of 1.5: {calm.numerical_range_step():.3f}, {calm.distance():.1e}")

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
rd.plot.axes(axes[1])
for k, (name, one) in enumerate({"weights 1.5": stability, "weights 0.5": calm}.items()):
    one.plot(ax=axes[0], shade=k == 0, limits=(-2.2, 1.2, -1.7, 1.7))
    edge = rd.dynamics.numerical_range(one.dt * one.jacobians).boundary
    edge = np.append(edge, edge[0])
    axes[0].plot(edge.real, edge.imag, color=rd.plot.colour(k), label=f"numerical range, {name}")
    growth = rd.dynamics.transient_growth(np.eye(20) + one.dt * one.jacobians, steps=100)
    axes[1].semilogy(growth.times, growth.norms, color=rd.plot.colour(k), label=name)
axes[0].legend(frameon=False, fontsize="small")
axes[1].set(xlabel="steps", title="norm of the powers of the step")
axes[1].legend(frameon=False)
plt.show()

# %%
# A matrix and its transpose have the same norm, so the same norms bound the gradients. Along the chain gradients
# explode for about 35 steps, and vanish in the end.
#
# What to take with you
# ---------------------
#
# * Gradients explode where the step leaves the region of stability: forward and backward pass have one limit.
# * A leak or a gate sets the step. `rd.ode.step_stability(run)` says whether it is small enough along a run. If a mode
#   of the equation itself grows, no gate helps.
# * Eigenvalues bound the long run only. Before that, the numerical range does.
