r"""
Truncated BPTT is blind beyond its window
=========================================

Long sequences are trained with truncated backpropagation through time [1]_: the state is carried through the whole
sequence, but the gradient is cut after a window of :math:`k_2` steps. This page measures what the cut hides: first in a
gradient, then in a task for which the window alone decides whether it is learnt.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# One gradient, lag by lag
# ------------------------
#
# The gradient of a last loss by the recurrent matrix is a sum over all steps at which the matrix was used,
#
# .. math::
#
#    \frac{\partial L_T}{\partial U} = \sum_{k=0}^{T-1} G_k , \qquad
#    G_k = \left(\frac{\partial L_T}{\partial a_{T-k}}\right) h_{T-k-1}^\top,
#    \qquad a_t = W x_t + U h_{t-1} + b ,
#
# and truncation keeps the terms with :math:`k < k_2`. The term of lag :math:`k` is therefore the difference of the
# gradients with windows of :math:`k + 1` and :math:`k` steps. The network is a tanh network with an orthogonal
# :math:`U`, which has a long memory.

steps, batch, units = 60, 8, 32
rng = np.random.default_rng(0)
cell = rd.cells.elman()
params = cell.init(1, units, rng=0, dtype="float64", weight="orthogonal")
params["b"][:] = 0
x = 0.3 * rng.standard_normal((steps, batch, 1))
d_last = np.zeros((steps, batch, units))
d_last[-1] = rng.standard_normal((batch, units))


def gradient(d_output: np.ndarray, window: int, stride: int) -> np.ndarray:
    """The gradient by U with a window of some steps, one update every `stride` steps."""
    truncated = rd.gradients.truncated_bptt(cell, params, x, d_output, window=window, stride=stride)
    return truncated.params["U"]


def terms(longest: int) -> np.ndarray:
    """The norms of G_0, G_1, ...; the gradient goes back at most `longest` steps."""
    windows = [min(k, longest) for k in range(1, steps + 1)]
    cumulative = np.array([gradient(d_last, w, w) for w in windows])
    return np.linalg.norm(np.diff(cumulative, axis=0, prepend=0), axis=(1, 2))


full, cut = terms(steps), terms(20)
far = gradient(d_last, steps, steps) - gradient(d_last, 20, 20)
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
lags = np.arange(steps)
rd.plot.axes(ax).bar(lags, full, width=0.8, color=rd.plot.colour(0), alpha=0.4, label="full BPTT")
ax.bar(lags, cut, width=0.8, color=rd.plot.colour(1), label="window of 20 steps")
ax.set(xlabel="lag $k$ (steps)", ylabel=r"$\Vert G_k \Vert$", title=r"terms of $\partial L_T / \partial U$")
ax.legend(frameon=False)
share = np.linalg.norm(far) / np.linalg.norm(gradient(d_last, steps, steps))
print(f"lag 19: {cut[19]:.2f} with the window, {full[19]:.2f} without")
print(f"lag 20: {cut[20]:.2f} with the window, {full[20]:.2f} without")
print(f"norm of all that lies beyond the window: {share:.0%} of the norm of the whole gradient")

# %%
# Window and stride
# -----------------
#
# With a loss at every step there is a second number: the stride :math:`k_1`, the number of steps from one update to the
# next. The gradients of all losses of a stride go back together, over the window that ends with the stride. In most
# training loops both numbers are equal. Then the gradient of the first loss of a window goes back a single step, and
# that of an average loss half of the window. With a stride of one step every gradient goes back :math:`k_2` steps, for
# :math:`k_2` times the work.

d_every = rng.standard_normal((steps, batch, units))
whole = gradient(d_every, steps, steps)
windows = np.array([2, 4, 6, 10, 15, 20, 30, 60])
errors = {
    "stride = window": [gradient(d_every, w, w) for w in windows],
    "stride = 1": [gradient(d_every, w, 1) for w in windows],
}
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for k, (name, found) in enumerate(errors.items()):
    relative = np.linalg.norm(np.array(found) - whole, axis=(1, 2)) / np.linalg.norm(whole)
    rd.plot.axes(ax).plot(windows, relative, "os"[k] + "-", color=rd.plot.colour(k), label=name)
    print(f"{name:16s} relative error with a window of 20 steps: {relative[5]:.2f}")
ax.set(xlabel="window $k_2$ (steps)", ylabel="relative error of the gradient", ylim=(0, None))
ax.legend(frameon=False)

# %%
# A task that needs a long window
# -------------------------------
#
# The network reads one of two symbols at the first step, then 20 steps of noise. At the last step it has to say which
# symbol it was. Guessing costs :math:`\ln 2 = 0.693` nats. The symbol is 20 steps before the loss: a window of 21 steps
# reaches it. Everything else is the same in all runs: initial weights, data, Adam with a rate of 0.01.

lag, symbols, sequences, hidden = 20, 2, 64, 32
lstm = rd.cells.lstm()
optimizer = rd.training.adam()


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Input (lag + 1, sequences, symbols + 1): the symbol in one step, then noise in the last channel."""
    shown = rng.integers(0, symbols, sequences)
    x = np.zeros((lag + 1, sequences, symbols + 1), "float32")
    x[0, np.arange(sequences), shown] = 1
    x[1:, :, -1] = rng.standard_normal((lag, sequences))
    return x, shown


def train(window: int, forget_bias: float, updates: int = 200) -> np.ndarray:
    """The loss before every update, in nats."""
    rng = np.random.default_rng(1)
    cell_params = rd.cells.with_bias(lstm, lstm.init(symbols + 1, hidden, rng=0), f=forget_bias)
    readout = (rng.standard_normal((symbols, hidden)) / np.sqrt(hidden)).astype("float32")
    params = {"cell": cell_params, "readout": {"R": readout}}
    state, losses = optimizer.init(params), []
    for _ in range(updates):
        x, shown = draw(rng)
        output = rd.forward(lstm, params["cell"], x).output
        readout = params["readout"]["R"]
        loss, d_logits = rd.nn.cross_entropy(output[-1] @ readout.T, shown)
        d_output = np.zeros_like(output)
        d_output[-1] = d_logits @ readout
        truncated = rd.gradients.truncated_bptt(
            lstm, params["cell"], x, d_output, window=window, stride=window
        )
        grads = {"cell": truncated.params, "readout": {"R": d_logits.T @ output[-1]}}
        change, state = optimizer.update(grads, state, params, 0.01)
        params = rd.training.apply_updates(params, change)
        losses.append(loss)
    return np.array(losses)


def compare(forget_bias: float, windows: tuple[int, ...], ax: plt.Axes) -> None:
    """Draw the learning curves for several windows, and print where they end."""
    rd.plot.axes(ax).axhline(np.log(symbols), color="black", lw=0.8, ls="--", zorder=3, label="guessing")
    for k, window in enumerate(windows):
        losses = train(window, forget_bias)
        ax.plot(rd.plot.smooth(losses, 10), color=rd.plot.colour(k), label=f"window {window}")
        print(
            f"forget bias {forget_bias:g}, window {window:2d}: loss at the end {losses[-10:].mean():.3f} nats"
        )
    ax.set(xlabel="update", ylim=(0, 0.85), title=f"forget-gate bias {forget_bias:g}")
    ax.legend(frameon=False)


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
left.set_ylabel("loss (nats), mean of 10 updates")
compare(1.0, (21, 10, 5), left)
compare(6.0, (21, 10), right)
plt.show()

# %%
# On the left, a cell keeps about three quarters of its content in each step (:math:`\sigma(1) = 0.73`). The network
# with the long window learns the task. The others only guess: no gradient tells them that the first symbol mattered.
#
# On the right the forget gates are open from the start (a factor of :math:`\sigma(6) = 0.998` in each step). The state
# is carried and never cut, so it still holds the symbol at the time of the loss. A short window is then enough to learn
# to read it. Truncation cuts the gradient, not the memory: it can use a memory that exists already, but cannot build
# one for something that happened before its window. (A window a little shorter than the lag can still succeed: it
# learns to keep the content of the cell at its beginning.)
#
# .. rubric:: References
#
# .. [1] Williams and Peng, An efficient gradient-based algorithm for on-line training of recurrent network
#    trajectories, Neural Computation 2 (1990): BPTT(h; h').
