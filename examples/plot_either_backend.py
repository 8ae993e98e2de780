r"""
One script for the CPU and for a GPU
====================================

The equations of a cell are compiled for the CPU and for GPUs, and the verbs are the same. This script runs on a GPU if
there is one, and else on the CPU, with the same lines. It measures how long an LSTM remembers after its initialization,
and how the bias of the forget gate changes this [1]_. The first lines of output say where this page was computed.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# Where to compute
# ----------------
#
# Without a GPU, ``device="cuda"`` raises an error that names what is missing: a package, the driver, or the GPU. So we
# try it.


def usable_device() -> str:
    """CUDA where it can compute, else the CPU."""
    cell = rd.cells.elman()
    try:
        rd.forward(cell, cell.init(1, 1), steps=1, device="cuda")
    except (ModuleNotFoundError, RuntimeError) as missing:
        print(f"no GPU here: {missing}")
        return "cpu"
    return "cuda"


device = usable_device()
print(f"this page was computed on {device!r}")

# %%
# How far gradients reach
# -----------------------
#
# An LSTM of 128 units reads 32 sequences of noise over 200 steps. `rd.backward` takes a cotangent of the last output
# and returns the derivative by *every* earlier state. Its norm over the lag says how much the last output depends on
# the past. The arguments are NumPy arrays, so the results are NumPy arrays on either device.

cell, (T, B, N, H) = rd.cells.lstm(), (200, 32, 16, 128)
x = np.random.default_rng(0).standard_normal((T, B, N)).astype("float32")
drawn = cell.init(input_size=N, hidden_size=H, rng=0)
biases = (0.0, 1.0, 2.0, 4.0)
reach, opening = {}, {}
for bias in biases:
    params = rd.cells.with_bias(cell, drawn, f=bias)
    run = rd.forward(cell, params, x, device=device)
    grads = rd.backward(run, d_final={"h": np.ones((B, H), "float32")})
    norms = np.linalg.norm(grads.states["c"], axis=-1).mean(axis=1)[::-1]
    reach[bias] = norms[1:] / norms[1]  # the output of a step has passed no cell state yet
    opening[bias] = float(np.mean(1 / (1 + np.exp(-run.drives["f"]))))

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
rd.plot.axes(ax)
for k, bias in enumerate(biases):
    ax.semilogy(np.arange(1, T), reach[bias], color=rd.plot.colour(k), label=f"bias {bias:g}")
    ax.semilogy(np.arange(1, T), opening[bias] ** np.arange(T - 1), ":", color=rd.plot.colour(k))
    left = reach[bias][99]
    print(
        f"bias {bias:g}: opening {opening[bias]:.3f}, the gradient at lag 100 is {left:.1e} of that at lag 1"
    )
ax.set(xlabel="lag (steps)", ylabel="norm of the gradient, relative", ylim=(1e-8, 20))
ax.legend(frameon=False, title="forget gate")

# %%
# The dotted lines are the powers of the mean opening of the forget gate: the effect of the gate alone. Gradients fade
# more slowly, because some of them pass through the loop over the output. With a bias of 4 the cell keeps 98 % in a
# step. The loop then adds more than the gate forgets, and gradients grow.
#
# A tangent is carried forward by the same Jacobians. On any device, to rounding, the two verbs satisfy
# :math:`\langle v, J u \rangle = \langle J^\top v, u \rangle`:

rng = np.random.default_rng(1)
u = {slot: rng.standard_normal((B, H)).astype("float32") for slot in cell.state}
v = {slot: rng.standard_normal((B, H)).astype("float32") for slot in cell.state}
forth = rd.jvp(run, d_initial=u).final
back = rd.backward(run, d_final=v).initial
one, other = (sum(float(np.sum(a[s] * b[s])) for s in cell.state) for a, b in ((v, forth), (u, back)))
print(f"<v, J u> = {one:.5f}, <J^T v, u> = {other:.5f}")
J = rd.jacobian(run, T - 1)
print(f"Jacobians of the last step: {J.shape}, spectral radius {np.abs(np.linalg.eigvals(J)).max():.3f}")

# %%
# What a GPU would do
# -------------------
#
# `rd.engine.plan` needs no GPU. It says which kernels a cell of given sizes would use, and predicts their times, here
# for an H200. Small networks keep all of :math:`U` in every block of threads, or read it from the L2 cache. Larger ones
# share it among all blocks of the device. Still larger ones call cuBLAS in every step (:doc:`/cuda`).

plans = {
    size: rd.engine.plan(cell, (T, B, N, size)) for size in np.unique(np.geomspace(16, 4096, 40).astype(int))
}
print(plans[min(plans, key=lambda size: abs(size - H))])

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
rd.plot.axes(ax)
for k, kind in enumerate(("block", "grid", "steps")):
    sizes = [size for size, plan in plans.items() if plan.walks["forward"].kind == kind]
    for verb, look in (("forward", {"ms": 4}), ("adjoint", {"ms": 8, "mfc": "none"})):
        times = [1e6 * plans[size].walks[verb].seconds / T for size in sizes]
        ax.loglog(sizes, times, "o", color=rd.plot.colour(k), label=f"{kind}, {verb}", **look)
ax.set(xlabel="units", ylabel="predicted microseconds a step", title="LSTM, float32, 32 sequences, H200")
ax.legend(frameon=False)
plt.show()

# %%
# What to take with you
# ---------------------
#
# * ``device=`` in `rd.forward` is the only choice. Arrays on a GPU (of CuPy or PyTorch) need no ``device``. `backward`,
#   `jvp` and `jacobian` compute on the device of the run.
# * With its usual initialization an LSTM forgets half in one step, and after 40 steps nothing is left. A forget gate
#   that is open at the start remembers longer. A gate that is wide open makes gradients grow.
#
# .. [1] Jozefowicz, Zaremba and Sutskever (2015). An empirical exploration of recurrent network architectures.
#    ICML.
