r"""
Orthogonal memory
=================

The gradient by a state :math:`k` steps back has passed through :math:`k` Jacobians :math:`D_t U`, where :math:`D_t` are
the slopes of the nonlinearity. With an orthogonal :math:`U` and slopes of 1 it keeps its length for any number of
steps. The matrix has to stay orthogonal during the training, and there are many ways to do this. Here four of them
learn a task of pure memory.
"""

import csv
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import parametrize

# %%
# A matrix from free parameters
# -----------------------------
#
# A parametrization is a function from free parameters to the matrix. It also maps :math:`\partial L / \partial U` back
# to the derivative by the free parameters. The Cayley transform [1]_ is an example:
#
# .. math::
#
#    U = (I + A)^{-1} (I - A) D, \qquad A^\top = -A ,
#
# with a diagonal :math:`D` of signs. After any gradient step on the numbers of :math:`A`, :math:`U` is orthogonal
# again.

free = parametrize.cayley.sample(64, rng=0, dtype="float64", initial="henaff")
U, pull = parametrize.cayley(free)
step = pull(np.random.default_rng(0).standard_normal(U.shape))
print(f"{free.size} free numbers; |U^T U - I| at most {parametrize.cayley.check(U):.0e},")
print(
    f"after a step along a random gradient {parametrize.cayley.check(parametrize.cayley(free - step)[0]):.0e}"
)

# %%
# How far gradients reach
# -----------------------
#
# Before any training, we compute the gradient by earlier states for the same network with different matrices. Its
# nonlinearity is modReLU, :math:`\operatorname{sign}(a) \operatorname{relu}(|a| + b)`. The slope is 1 where the unit is
# not silent. (The line of the unconstrained network ends at the smallest number of single precision.)

units, delay = 64, 100
cell = rd.cells.modrelu_rnn()
task = rd.data.CopyingMemory(delay, batch_size=32)
MADE = {
    "Cayley": parametrize.Cayley(negative=units // 2, initial="henaff"),
    "exponential": parametrize.exponential,
    "Householder": parametrize.householder,
    "Givens": parametrize.givens,
    "unconstrained": {},
}
models = {
    name: rd.nn.Model(cell, units, vocabulary_size=10, output_size=9, embedding_size=10, parametrize=made)
    for name, made in MADE.items()
}

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
rd.plot.axes(ax)
for k, (name, model) in enumerate(models.items()):
    run = model.forward(model.init(rng=1), task.batch(0).inputs)
    d_output = np.zeros_like(run.output)
    d_output[-1] = np.random.default_rng(0).standard_normal(d_output[-1].shape)
    reach = np.linalg.norm(model.backward(run, d_output).layers[0].states["h"], axis=2).mean(1)
    ax.semilogy(np.arange(len(reach)), reach[::-1] / reach[-1], color=rd.plot.colour(k), label=name)
    print(
        f"{name:13s} gradient {delay} steps before the end: {reach[-1 - delay] / reach[-1]:.1e} of the last"
    )
ax.set(xlabel="lag (steps)", ylabel=r"mean of $\Vert \partial L / \partial h_{T-k} \Vert$, relative")
ax.legend(frameon=False)

# %%
# The copying task
# ----------------
#
# The network reads ten symbols, each one of eight, then blanks. After a marker at step 110 it has to repeat the symbols
# in order. Without memory the best loss is :math:`10 \ln 8 / (T + 20)` for a delay of :math:`T`: every symbol is
# guessed among eight. All runs have the same batches, Adam with a rate of 0.005, and 300 updates. They differ only in
# the parametrization of :math:`U`.

losses, table = {}, []
for name, model in models.items():
    start = time.perf_counter()
    result = rd.training.fit(
        model,
        model.init(rng=1),
        task,
        optimizer=rd.training.adam(),
        learning_rate=rd.training.cosine(0.005, 300),
        updates=300,
        clip_norm=1.0,
        progress=False,
    )
    update = (time.perf_counter() - start) / 300
    losses[name] = result.history["loss"] / task.baseline
    (params,) = model.cell_params(result.params)
    U = params["U"]
    spread = np.linalg.svd(U, compute_uv=False)
    free = model.init(rng=1)["layers"]["0"]["U"]
    table.append((name, free.size, 1e3 * update, losses[name][-20:].mean(), spread[0], spread[-1]))

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
rd.plot.axes(ax).axhline(1, color="black", lw=0.8, ls="--", label="without memory")
for k, (name, loss) in enumerate(losses.items()):
    ax.semilogy(rd.plot.smooth(loss, 10), color=rd.plot.colour(k), label=name)
ax.set(
    xlabel="update",
    ylabel="loss / baseline, mean of 10 updates",
    ylim=(None, 8),
    title=f"delay of {delay} steps",
)
ax.legend(frameon=False, ncols=2, loc="upper right")
print(f"{'':14s}{'free':>6s}{'ms an update':>14s}{'loss/baseline':>15s}{'singular values':>20s}")
for name, size, ms, loss, largest, smallest in table:
    print(f"{name:14s}{size:6d}{ms:14.1f}{loss:15.3f}{smallest:14.3f}-{largest:.3f}")

# %%
# The losses of the orthogonal networks fall below the dashed line. The unconstrained network stays on it: it has learnt
# when to answer, but not what. An update takes little longer if the matrix is computed in each one, except with the
# many layers of Givens. (Householder reads half of the numbers of its vectors, those on and below the diagonal.) The
# best parametrization depends on the task: they differ in their initial matrices, and in how a step turns the matrix.
#
# A thousand steps
# ----------------
#
# The same task with a delay of 1000 steps and 128 units. Two LSTMs are added, with as many parameters as the arrays of
# the Householder network (which reads half of the entries of its vectors). One LSTM has a forget bias of 1, the other
# one chrono initialization. All were trained beforehand, with 2500 updates and the same rate (``python
# docs/make_copying_table.py``).


def table_of_long_runs() -> dict[str, np.ndarray]:
    """(update, loss) of each network, from the file in the repository."""
    here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
    path = next(p for p in (here, *here.parents) if (p / "docs").is_dir()) / "docs/_static/data/copying.csv"
    with path.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {
        name: np.array([(float(r["update"]), float(r["loss"])) for r in rows if r["network"] == name])
        for name in dict.fromkeys(r["network"] for r in rows)
    }


baseline = rd.data.CopyingMemory(1000, 1).baseline
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
rd.plot.axes(ax).axhline(1, color="black", lw=0.8, ls="--", label="without memory")
colours = {name: rd.plot.colour(k) for k, name in enumerate(MADE)} | {"LSTM": "0.3", "LSTM, chrono": "0.6"}
for name, rows in table_of_long_runs().items():
    update, loss = rows.T
    ax.semilogy(update, loss / baseline, color=colours[name], label=name)
    print(f"{name:14s} {loss[-1] / baseline:.3f} of the baseline at the end")
ax.set(
    xlabel="update", ylabel="loss / baseline, mean of 20 updates", ylim=(None, 8), title="delay of 1000 steps"
)
ax.legend(frameon=False, ncols=2, loc="upper right", bbox_to_anchor=(1, 0.62))
plt.show()

# %%
# Within a thousand updates all networks learn when to answer, and reach the baseline. The LSTMs and the unconstrained
# network stay there. The orthogonal networks leave it: Householder without a pause, and Cayley most slowly, because it
# needs large numbers in :math:`A` to turn a plane far.
#
# .. rubric:: References
#
# .. [1] Helfrich, Willmott and Ye, Orthogonal recurrent neural networks with scaled Cayley transform, ICML 2018.
