r"""
Why gradients vanish and explode
================================

The gradient of a loss at step :math:`T` by a state :math:`k` steps earlier is a product of :math:`k` transposed
Jacobians,

.. math::

   \frac{\partial L_T}{\partial h_{T-k}}
   = J_{T-k+1}^\top \cdots J_{T-1}^\top J_T^\top \, \frac{\partial L_T}{\partial h_T},
   \qquad J_t = \frac{\partial h_t}{\partial h_{t-1}} .

A product of many matrices shrinks or grows exponentially in :math:`k`: the gradient vanishes or explodes [1]_ [2]_.
We first look at the product in a linear network, where all Jacobians are the same matrix. Then we add a nonlinearity,
and then gates. At the end two trainings diverge in the same way for two different reasons.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.parametrize import initialize

rng = np.random.default_rng(0)

# %%
# The linear network: powers of one matrix
# ----------------------------------------
#
# For :math:`h_t = U h_{t-1}` the product is the power :math:`(U^\top)^k`. Two numbers of :math:`U` matter: the largest
# singular value :math:`\sigma`, how much one step can stretch a vector, and the spectral radius :math:`\rho`, the
# largest absolute eigenvalue. They bound the power from both sides,
#
# .. math::
#
#    \rho^k \;\le\; \sigma_{\max}(U^k) \;\le\; \sigma^k,
#    \qquad \lim_{k \to \infty} \sigma_{\max}(U^k)^{1/k} = \rho .
#
# The singular value decides the first step, the eigenvalue decides in the end. For an orthogonal matrix times a number
# both are equal; a random matrix with independent entries is not normal, its eigenvectors are far from orthogonal, and
# :math:`\sigma` is about twice :math:`\rho`.

units, longest = 64, 100
lengths = np.r_[1:11, 12:31:3, 35:101:5]
matrices = {
    "orthogonal, $\\rho = 0.9$": (0.9, "orthogonal"),
    "random, $\\rho = 0.9$": (0.9, initialize.gaussian()),
    "random, $\\rho = 1.05$": (1.05, initialize.gaussian()),
}

cell = rd.cells.linear()
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=(1, 1.5))
for k, (name, (radius, draw)) in enumerate(matrices.items()):
    params = cell.init(input_size=0, hidden_size=units, rng=0, dtype="float64", recurrent=draw)
    eigenvalues = np.linalg.eigvals(params["U"])
    scale = radius / np.abs(eigenvalues).max()
    params["U"] *= scale
    run = rd.forward(cell, params, steps=longest)
    products = rd.dynamics.jacobian_products(rd.jacobian(run), lengths)
    sizes = products.largest
    print(
        f"sigma = {sizes[0]:.2f}, rho = {radius:.2f}; sigma_max(U^k): "
        f"highest {sizes.max():.3g} at k = {lengths[sizes.argmax()]}, {sizes[-1]:.2g} at k = 100"
    )
    colour = rd.plot.colour(k)
    left.plot(scale * eigenvalues.real, scale * eigenvalues.imag, "o^s"[k], ms=4, color=colour)
    right.plot(lengths, sizes, "o^s"[k] + "-", ms=4, color=colour, label=name)
    right.plot(lengths, radius**lengths, "--", lw=1, color=colour)
circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
rd.plot.axes(left).plot(circle.real, circle.imag, color="black", lw=0.8)
left.set(xlabel="real part", ylabel="imaginary part", aspect="equal", title="eigenvalues of $U$, unit circle")
rd.plot.axes(right).axhline(1, color="black", lw=0.8)
right.set(yscale="log", xlabel="length of the product $k$ (steps)", ylabel=r"$\sigma_{\max}(U^k)$")
right.set_title(r"largest singular value of the product; dashed $\rho^k$")
right.legend(frameon=False)

# %%
# For the orthogonal matrix the largest singular value of the product is :math:`\rho^k` itself. Both random matrices
# stretch some vectors in one step. With :math:`\rho = 0.9` every gradient vanishes nevertheless: the powers grow at
# first, and then shrink by the factor :math:`\rho` in each step.
#
# The condition :math:`\sigma > 1` is therefore *necessary* for an explosion, but not sufficient. Different Jacobians
# have no common eigenvalues. For their products, the growth rate of the product takes the place of :math:`\ln \rho`:
# the largest Lyapunov exponent.

# %%
# A nonlinearity: the input decides
# ---------------------------------
#
# For :math:`h_t = \tanh(W x_t + U h_{t-1})` the Jacobian is :math:`J_t = \operatorname{diag}(1 - h_t^2)\, U`. The
# diagonal is at most 1. Compared with the linear network, tanh can only shrink gradients, and it shrinks them more when
# the units are further from zero. We scale a random :math:`U` to a spectral radius :math:`\rho`, send a random gradient
# back through 100 steps, and fit its growth per step.

steps, batch = 100, 4


def growth(cell: rd.cells.Cell, radius: float, input_scale: float) -> float:
    """The factor per step by which a random gradient grows on its way back."""
    params = cell.init(units, units, rng=1, dtype="float64", recurrent=initialize.gaussian())
    params["U"] *= radius / np.abs(np.linalg.eigvals(params["U"])).max()
    params["W"], params["b"] = input_scale * np.eye(units), np.zeros(units)
    x = rng.standard_normal((steps, batch, units))
    start, d_end = rng.standard_normal((2, batch, units))
    run = rd.forward(cell, params, x, initial={"h": start})
    grads = rd.backward(run, d_final={"h": d_end})
    return rd.dynamics.gradient_flow(grads.states["h"]).rate()


radii = np.array([0.4, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 3.5])
cases = {
    "linear": (rd.cells.linear(), 0.0),
    "tanh, no input": (rd.cells.elman("tanh"), 0.0),
    "tanh, input of variance 1": (rd.cells.elman("tanh"), 1.0),
    "tanh, input of variance 9": (rd.cells.elman("tanh"), 3.0),
}
rates = {
    name: np.array([growth(cell, radius, scale) for radius in radii]) for name, (cell, scale) in cases.items()
}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
rd.plot.axes(ax).axhline(1, color="black", lw=0.8)
for k, (name, rate) in enumerate(rates.items()):
    ax.plot(radii, rate, "o^sD"[k] + "-", ms=4, color=rd.plot.colour(k), label=name)
    print(f"{name:26s} growth per step at rho = 1: {rate[2]:.3f}, at rho = 2: {rate[5]:.3f}")
ax.set(xlabel=r"spectral radius $\rho$ of $U$", ylabel="factor of the gradient per step", ylim=(0, 2.5))
ax.set_title("above 1 the gradient explodes, below 1 it vanishes")
ax.legend(frameon=False)

# %%
# Without input the border stays at :math:`\rho = 1`. Beyond it the network is chaotic [3]_: small changes of an early
# state grow, and the gradient by that state grows with them. Input pushes the units into their flat range and moves the
# border to higher gains. With the same weights, gradients explode on weak input and vanish on strong input.

# %%
# Gates: a product of numbers beside the product of matrices
# ----------------------------------------------------------
#
# In the LSTM the cell state has a direct path,
#
# .. math::
#
#    c_t = f_t \odot c_{t-1} + i_t \odot g_t, \qquad
#    \frac{\partial c_t}{\partial c_{t-1}} = \operatorname{diag}(f_t) + \text{paths through } U,
#    \qquad f_t = \sigma(W_f x_t + U_f h_{t-1} + b_f),
#
# and the bias :math:`b_f` of the forget gate sets the factor of this path. At :math:`b_f = 0` half of a gradient is
# lost in every step, at :math:`b_f = 5` less than one percent [4]_ [5]_.

lstm = rd.cells.lstm()
steps = 150
x = rng.standard_normal((steps, 32, 1))
d_end = rng.standard_normal((32, units))
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for k, bias in enumerate((0.0, 1.0, 3.0, 5.0)):
    params = lstm.init(1, units, rng=0, dtype="float64")
    run = rd.forward(lstm, rd.cells.with_bias(lstm, params, f=bias), x)
    flow = rd.dynamics.gradient_flow(rd.backward(run, d_final={"c": d_end}).states["c"])
    forget = 1 / (1 + np.exp(-bias))
    flow.plot(ax=ax, index=k, label=f"$b_f = {bias:g}$")
    ax.plot(flow.lags, flow.norms[0] * forget**flow.lags, ":", lw=1.3, color=rd.plot.colour(k))
    print(
        f"b_f = {bias:g}: sigmoid(b_f) = {forget:.4f}, growth per step {flow.rate():.4f}, "
        f"1 % left after {flow.reach() or f'more than {steps}'} steps"
    )
ax.set(ylim=(1e-10, 1e5), ylabel=r"$\Vert\,\partial L / \partial c_t\,\Vert$")
ax.set_title(r"gradient of the cell state; dotted $\sigma(b_f)^{T-t}$")
ax.get_legend().set_loc("upper left")
ax.get_legend().set_bbox_to_anchor((1, 1))

# %%
# The solid lines are above the dotted ones: the paths through :math:`U` add to the direct path. With the gates wide
# open they add more than the gates forget, and the gradient even grows, by 4 % in each step. Gates do not remove the
# product of Jacobians. They bring its factor near 1, and each unit can learn its own factor.

# %%
# One symptom, two causes
# -----------------------
#
# A loss that suddenly becomes huge is often called an exploding gradient. It may be one. It may also be a learning rate
# that is too large for the curvature. The loss does not say which. Here are two trainings of a tanh network on the
# adding problem (add two marked numbers of 50), by plain gradient descent. One starts with a large recurrent matrix and
# a moderate learning rate, the other with a small matrix and a large learning rate.

recurrent_units, sequence = 32, 50
model = rd.nn.Model(rd.cells.elman(), recurrent_units, input_size=2, output_size=1, loss="mean_squared_error")
task = rd.data.AddingProblem(sequence, batch_size=20)
optimizer = rd.training.sgd()


def train(gain: float, learning_rate: float) -> tuple[dict[str, list[float]], rd.dynamics.GradientFlow]:
    """Train until the loss passes 1e6: what was seen before every update, and how the first gradient went back."""
    params = model.init(rng=0)
    params["layers"]["0"] = model.cells[0].init(2, recurrent_units, recurrent=initialize.gaussian(gain))
    state, flow = optimizer.init(params), None
    seen: dict[str, list[float]] = {"loss": [], "product": []}
    while not seen["loss"] or seen["loss"][-1] < 1e6:
        loss, run, grads = model.differentiate(params, task.batch(len(seen["loss"])))
        products = rd.dynamics.jacobian_products(rd.jacobian(run.runs[0])[1:], [sequence - 1])
        seen["loss"].append(loss)
        seen["product"].append(products.largest[0])
        flow = flow or rd.dynamics.gradient_flow(grads.layers[0].states["h"])
        change, state = optimizer.update(grads.params, state, params, learning_rate)
        params = rd.training.apply_updates(params, change)
    return seen, flow


diseases = {"large matrix (g = 1.8, rate 0.1)": (1.8, 0.1), "large rate (g = 0.5, rate 0.6)": (0.5, 0.6)}
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
for k, (name, settings) in enumerate(diseases.items()):
    seen, flow = train(*settings)
    colour = rd.plot.colour(k)
    rd.plot.axes(left).semilogy(seen["loss"], "os"[k] + "-", color=colour, label=name)
    rd.plot.axes(middle).semilogy(np.maximum(seen["product"], 1e-25), "os"[k] + "-", color=colour)
    rd.plot.axes(right).semilogy(flow.lags, flow.norms, color=colour)
    print(
        f"{name}: loss {seen['loss'][0]:.2f} -> {seen['loss'][-1]:.1e} in {len(seen['loss']) - 1} updates;\n"
        f"    before them: product {seen['product'][0]:.1e}, "
        f"gradient 49 steps back / at the end {flow.relative[-1]:.1e}"
    )
middle.axhline(1, color="black", lw=0.8)
left.set(xlabel="update", title="loss (mean squared error)", ylim=(0.05, None))
middle.set(xlabel="update", title=r"$\sigma_{\max}$ of the product of 49 Jacobians")
right.set(
    xlabel="lag $T - t$ (steps)", title=r"$\Vert\,\partial L / \partial h_t\,\Vert$ before the first update"
)
left.legend(frameon=False, fontsize="small")
plt.show()

# %%
# The losses look alike. The products before the first update do not. In the network with the large matrix the gradient
# grows by orders of magnitude on its way back, and the distant past dominates the update. In the other network the
# gradient vanishes on its way back, and the learning rate is too large for the last time steps alone. After some
# updates the two look alike: the units are saturated, and the product is zero in both (drawn at :math:`10^{-25}`). So
# measure early.
#
# The remedies follow from the cause. For an exploding product, clip the gradient and take a smaller or an orthogonal
# :math:`U`. For a learning rate that is too large, take a smaller one; the Jacobians are not the cause.
#
# What to take with you
# ---------------------
#
# * The gradient over :math:`k` steps is a product of :math:`k` Jacobians. It grows or shrinks exponentially. Singular
#   values of single steps bound its rate; eigenvalues or Lyapunov exponents are its rate in the end.
# * tanh only shrinks gradients. How much depends on the input: with one set of weights they can vanish or explode.
# * A gate near 1 moves the factor towards 1. The product stays a product.
# * Measure the product of Jacobians (:func:`recurrent_dynamics.dynamics.jacobian_products`) before you blame it.
#
# .. rubric:: References
#
# .. [1] Bengio, Simard and Frasconi, Learning long-term dependencies with gradient descent is difficult, IEEE
#    Transactions on Neural Networks 5 (1994).
# .. [2] Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013.
# .. [3] Sompolinsky, Crisanti and Sommers, Chaos in random neural networks, Physical Review Letters 61 (1988).
# .. [4] Gers, Schmidhuber and Cummins, Learning to forget: continual prediction with LSTM, Neural Computation 12
#    (2000).
# .. [5] Jozefowicz, Zaremba and Sutskever, An empirical exploration of recurrent network architectures, ICML 2015.
