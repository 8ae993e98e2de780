r"""
One script for the CPU and for a GPU
====================================

The equations of a cell are compiled twice, and the verbs are the same: this script runs on a GPU where there is one,
and on the CPU where there is none, without a line that knows which. It asks how long an LSTM remembers as it is
initialized, and what the forget gate's bias does about it [1]_. On this page it ran where the documentation was built;
the first lines of output say where that was.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# Where to compute
# ----------------
#
# ``device="cuda"`` says what is missing where it cannot be had: a package, the driver, or the GPU. So asking is trying.


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
# An LSTM of 128 units reads 32 sequences of noise over 200 steps. From a cotangent of the last output,
# `rd.backward` gives the derivative by *every* state on the way; its norm over the lag says how much of the past the
# last output still feels. NumPy arrays went in, so NumPy arrays come out, whatever computed between.

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
    print(
        f"bias {bias:g}: opening {opening[bias]:.3f}, the gradient at lag 100 is {reach[bias][99]:.1e} of that at lag 1"
    )
ax.set(xlabel="lag (steps)", ylabel="norm of the gradient, relative", ylim=(1e-8, 20))
ax.legend(frameon=False, title="forget gate")

# %%
# Dotted is what the forget gate alone would do: the powers of its mean opening. Gradients fade more slowly, as the loop
# through the output carries some of them too, and with a bias of 4, where the cell keeps 98 % in a step, what that loop
# adds is more than what the gate lets go: they grow.
#
# A tangent goes the other way, and the Jacobian of a step says both at once. The identity
# :math:`\langle v, J u \rangle = \langle J^\top v, u \rangle` holds between verbs on any device, to rounding:

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
# `rd.engine.plan` needs none: it says how a cell of given sizes would walk through time, and what a model predicts of
# the time, here for an H200. Small networks keep all of :math:`U` in every block of threads, larger ones share it among
# all blocks of the device, and beyond that cuBLAS multiplies in every step (:doc:`/cuda`).

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

# %%
# What to take with you
# ---------------------
#
# * ``device=`` in `rd.forward` is all there is to choose, and arrays that lie on a GPU (CuPy's, PyTorch's) need not
#   even that. `backward`, `jvp` and `jacobian` compute where the run is.
# * As it is initialized, an LSTM forgets half in one step, and after 40 steps nothing is left. A forget gate that is
#   open at the start remembers longer, and one that is wide open makes gradients grow.
#
# .. [1] R. Jozefowicz, W. Zaremba, I. Sutskever (2015). An empirical exploration of recurrent network architectures.
#    ICML.
