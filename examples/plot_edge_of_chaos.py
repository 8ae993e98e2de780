r"""
Edge of chaos
=============

The largest Lyapunov exponent says whether a network forgets its initial state (:math:`\lambda_1 < 0`) or small
differences grow (:math:`\lambda_1 > 0`). Gradients are multiplied by the same Jacobians. The exponent therefore also
says whether they vanish or explode over long times [1]_. We compute it for random networks of tanh units, for which
there is a theory, and look at the effect of an LSTM's forget gate on the whole spectrum.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import brentq

import recurrent_dynamics as rd

rng = np.random.default_rng(0)

# %%
# Random tanh networks
# --------------------
#
# For :math:`h' = \tanh(J h)` with independent :math:`J_{ij} \sim N(0, g^2 / N)` and large :math:`N`, every unit sees a
# Gaussian field of variance :math:`q`, and [2]_
#
# .. math::
#
#    q = g^2 \, E[\tanh^2(\sqrt q z)], \qquad
#    \lambda_1 = \ln \Big( g \sqrt{E[\operatorname{sech}^4(\sqrt q z)]} \Big), \qquad z \sim N(0, 1) .
#
# Below :math:`g = 1` only :math:`q = 0` is left: the origin is stable, and :math:`\lambda_1 = \ln g`.

nodes, weights = np.polynomial.hermite_e.hermegauss(200)
weights /= weights.sum()


def mean_field(g: float) -> float:
    """Return the largest exponent of an infinite network."""
    excess = lambda q: g**2 * weights @ np.tanh(np.sqrt(q) * nodes) ** 2 - q
    q = brentq(excess, 1e-9, g**2) if g > 1.001 else 0.0
    return float(np.log(g * np.sqrt(weights @ np.cosh(np.sqrt(q) * nodes) ** -4.0)))


cell = rd.cells.elman()


def random_network(units: int, g: float) -> dict[str, np.ndarray]:
    """Draw the parameters of a random network."""
    params = cell.init(0, units, dtype="float64")
    params["U"] = g * rng.standard_normal((units, units)) / np.sqrt(units)
    params["b"] = np.zeros(units)
    return params


gains = np.array([0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0])
fine = np.geomspace(gains[0], gains[-1], 100)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
rd.plot.axes(ax).axhline(0, color="black", lw=0.8)
ax.plot(fine, [mean_field(g) for g in fine], color="black", lw=1, label="mean field, infinitely many units")
for k, (units, networks) in enumerate({16: 10, 128: 3}.items()):
    found = np.empty((len(gains), networks))
    for i, g in enumerate(gains):
        for j in range(networks):
            start = {"h": rng.standard_normal((2, units))}
            spectrum = rd.dynamics.lyapunov(
                cell,
                random_network(units, g),
                initial=start,
                steps=600,
                count=1,
                transient=200,
                tolerance=0.5,
            )
            found[i, j] = spectrum.exponents[0]
    shift = 1 + 0.025 * (2 * k - 1)  # so that the two do not cover each other
    ax.plot(
        np.repeat(shift * gains, networks), found.ravel(), "o^"[k], ms=4, alpha=0.6, color=rd.plot.colour(k)
    )
    ax.plot(shift * gains, found.mean(axis=1), "-", lw=1, color=rd.plot.colour(k), label=f"{units} units")
    print(
        f"{units:4d} units, g = 3: {found[-2].mean():.3f} +- {found[-2].std():.3f}; mean field {mean_field(3):.3f}"
    )
ax.set(xscale="log", xlabel="gain $g$", ylabel=r"$\lambda_1$ (nats per step)")
ax.set_xticks(gains, [f"{g:g}" for g in gains])
ax.minorticks_off()
ax.set_title("each point is one network")
ax.legend(frameon=False)

# %%
# Networks of 128 units come near to the theory, from below where the gain is above 1. Those of 16 units scatter widely,
# and many are not chaotic at all at gains where an infinite network is: they end in a fixed point or a cycle.
#
# The whole spectrum
# ------------------
#
# The positive exponents sum to an upper bound of the rate at which the network produces information, and the
# Kaplan-Yorke dimension says how many dimensions its attractor fills.

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for k, g in enumerate((1.5, 3.0, 10.0)):
    start = {"h": rng.standard_normal(128)}
    spectrum = rd.dynamics.lyapunov(
        cell, random_network(128, g), initial=start, steps=500, count=64, transient=150, tolerance=0.1
    )
    spectrum.plot(ax=ax, index=k, label=f"$g = {g:g}$")
    print(
        f"g = {g:4g}: entropy rate at most {spectrum.entropy_rate:.2f} nats per step, "
        f"{spectrum.interval:.1f} steps between orthonormalizations"
    )
ax.set_title("the first 64 exponents of 128 tanh units")

# %%
# An LSTM under input: the forget gate
# ------------------------------------
#
# The state of an LSTM is :math:`(h, c)`, and has an exponent for each of its numbers. With input, the exponents say how
# the difference of two states fades if both see the same input. Along the cell state a perturbation is multiplied by
# the forget gate. Half of the exponents are therefore near :math:`\ln \sigma(b_f)`. The others belong to :math:`h`,
# which is overwritten in each step.

lstm, units = rd.cells.lstm(), 32
x = rng.standard_normal((400, 2, 4))
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for k, bias in enumerate((-1.0, 1.0, 3.0, 5.0)):
    params = rd.cells.with_bias(lstm, lstm.init(4, units, rng=0, dtype="float64"), f=bias)
    spectrum = rd.dynamics.lyapunov(rd.forward(lstm, params, x), transient=150, tolerance=0.5)
    spectrum.plot(ax=ax, index=k, label=f"$b_f = {bias:g}$")
    gate = -np.log1p(np.exp(-bias))
    ax.axhline(gate, color=rd.plot.colour(k), lw=1, ls=":")
    print(
        f"b_f = {bias:2g}: first exponent {spectrum.exponents[0]:.3f} +- {spectrum.standard_errors[0]:.3f}, "
        f"ln sigmoid(b_f) = {gate:.3f}"
    )
ax.set_title(r"dotted: $\ln \sigma(b_f)$")
ax.legend(frameon=False, fontsize="small")

# %%
# Trained networks: the exponent is the rate of their gradients
# --------------------------------------------------------------
#
# Three networks of 32 tanh units are trained for a short time on a two-bit flip-flop (hold the last pulse of each
# channel). We compare two rates over the same sequences of 1000 steps. The first exponent comes from tangent vectors,
# which are carried forward. The gradient of the last loss alone is carried backward. Both leave out the first 200
# steps, on which the states come to their attractor, and 200 steps on which the carried vectors align. For the middle
# network, the exponent is pushed to zero after training (:func:`recurrent_dynamics.dynamics.flossing`).

model = rd.nn.Model(cell, 32, input_size=2, output_size=2, loss="mean_squared_error")
task, adam = rd.data.FlipFlop(30, 20, bits=2), rd.training.adam()
long = rd.data.FlipFlop(1000, 24, bits=2, seed=1, dtype="float64").batch(0)


def trained(gain: float, updates: int, flossing: int = 0) -> dict:
    """Train, push the first exponent to zero if asked, and return the parameters in double precision."""
    params = model.init(rng=2)
    params["layers"]["0"]["U"] = rd.parametrize.initialize.gaussian(gain)(
        np.random.default_rng(2), 32, 32
    ).astype("f4")
    params = rd.training.fit(model, params, task, optimizer=adam, learning_rate=2e-3, updates=updates).params
    params = {
        "layers": {"0": {n: v.astype("f8") for n, v in params["layers"]["0"].items()}},
        "readout": {n: v.astype("f8") for n, v in params["readout"].items()},
    }
    layer, state = params["layers"]["0"], None
    for k in range(flossing):
        run = rd.forward(cell, layer, long.inputs[100:200, k % 24 :][:, :4])
        _, grads, _ = rd.dynamics.flossing(run, 1, rng=k)
        state = adam.init(layer) if state is None else state
        change, state = adam.update(grads.params, state, layer, 2e-3)
        layer = rd.training.apply_updates(layer, change)
    params["layers"]["0"] = layer
    return params


cases = {
    "vanishing": trained(0.5, 60),
    "critical": trained(1.0, 60, flossing=200),
    "chaotic": trained(4.0, 20),
}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for k, (name, params) in enumerate(cases.items()):
    run = model.forward(params, long.inputs)
    d_output = model.score(run.output, long)[1]
    d_output[:-1] = 0  # the last loss alone
    d_states = model.backward(run, d_output).layers[0].states["h"]
    growth = rd.dynamics.gradient_growth(d_states[200:], skip=200)
    first = rd.dynamics.lyapunov(run.runs[0], count=1, transient=200, tolerance=1.0)
    norms = np.linalg.norm(d_states[200:], axis=2)[::-1]  # (lags, sequences)
    typical, lags = np.exp(np.log(norms).mean(axis=1)), np.arange(len(norms))
    mean = norms.mean(axis=1)
    ax.semilogy(lags, typical / typical[0], color=rd.plot.colour(k), label=name)
    ax.semilogy(lags, mean / mean[0], ":", color=rd.plot.colour(k))
    ax.semilogy(lags, np.exp(first.exponents[0] * lags), "--", lw=1, color=rd.plot.colour(k))
    print(
        f"{name:10s} first exponent {first.exponents[0]:.4f} +- {first.standard_errors[0]:.4f}, "
        f"growth of the gradient {growth.rate:.4f} +- {growth.standard_error:.4f} nats per step"
    )
    print(f"{'':10s} mean / geometric mean of 24 sequences, 200 steps back: {mean[200] / typical[200]:.1e}")
rd.plot.axes(ax).set(
    xlabel="lag $T - t$ (steps)", ylabel="gradient of the last loss, relative", ylim=(1e-30, 1e30)
)
ax.set_title(r"geometric mean of 24 sequences; dotted: mean; dashed: $e^{\lambda_1 (T - t)}$")
ax.legend(frameon=False)
plt.show()

# %%
# The printed rates agree within their standard errors: the Jacobians are the same, only the vectors differ. In the
# figure, the gradient of a typical sequence (solid, the geometric mean over the sequences) follows the exponent
# (dashed) in all three networks. The mean (dotted) does not. It grows faster, and in the vanishing network it falls
# more slowly, because a few sequences with large gradients carry most of it. In the chaotic network the mean is above
# the typical gradient by orders of magnitude after 200 steps. The exponent says nothing about such rare
# sequences.
#
# What to take with you
# ---------------------
#
# * :math:`\lambda_1 = 0` is the border between forgetting and chaos, and for typical gradients between vanishing and
#   exploding. A mean over sequences can be far larger.
# * Theory for infinite networks holds for hundreds of units, not for sixteen.
# * Half of an LSTM's exponents are set by one bias. A forget gate near 1 brings many directions close to the border at
#   once, where a tanh network has only its first.
#
# .. rubric:: References
#
# .. [1] Engelken, Wolf and Abbott, Lyapunov spectra of chaotic recurrent neural networks, Physical Review Research 5
#    (2023).
# .. [2] Molgedey, Schuchhardt and Schuster, Suppressing chaos in neural networks by noise, Physical Review Letters 69
#    (1992).
