r"""
Reading the gradients of a network that will not learn
======================================================

All trainings that fail look the same from outside: the loss is high. Inside, each cause leaves other traces in the
gradients. :func:`recurrent_dynamics.diagnose` measures these traces and says what an expert would conclude, with the
numbers and with remedies. We follow one network of tanh units, which has to add two marked numbers in a sequence of 40
[1]_, from one failure to the next.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.parametrize import initialize

steps, units = 40, 48
task = rd.data.AddingProblem(steps, batch_size=32)
model = rd.nn.Model(rd.cells.elman(), units, input_size=2, output_size=1, loss="mean_squared_error")


def begin(recurrent) -> dict:
    """Draw parameters with a recurrent matrix of one's choice."""
    params = model.init(rng=1)
    params["layers"]["0"] = model.cells[0].init(2, units, rng=1, recurrent=recurrent)
    return params


def train(
    params: dict, optimizer: rd.training.Optimizer, rate: float, updates: int, clip: float | None = None
):
    """Train; return the history, and the parameters at the end, or those at the beginning if it diverged."""
    try:
        result = rd.training.fit(
            model, params, task, optimizer=optimizer, learning_rate=rate, updates=updates, clip_norm=clip
        )
    except rd.training.DivergenceError as error:
        print(error)
        return error.history, params
    return result.history, result.params


def examine(history: rd.training.History, params: dict, optimizer: rd.training.Optimizer):
    """Diagnose, print and draw."""
    found = rd.diagnose(
        model, task.batch(10**6), history, params=params, baseline=task.baseline, optimizer=optimizer
    )
    print(found)
    axes = plt.subplots(2, 2, figsize=(8.5, 6), layout="constrained")[1]
    found.plot(axes=axes.ravel())
    return found


plt.show()

# %%
# First failure: the loss runs away
# ---------------------------------
#
# Plain gradient descent with a rate that was fine for another network:

params, sgd = begin(initialize.gaussian(0.5)), rd.training.sgd()
history, params = train(params, sgd, rate=1.5, updates=100)
found = examine(history, params, sgd)

# %%
# The loss explodes, but the recurrence is not the cause: on its way back the gradient only shrinks (third panel).
# Twenty trial updates on one batch confirm it: they fail at this rate, and succeed at a tenth of it.
#
# Second failure: it does not explode any more, and does not learn
# ----------------------------------------------------------------
#
# The advice was a lower rate, or an optimizer that scales its steps:

adam = rd.training.adam()
history, params = train(begin(initialize.gaussian(0.5)), adam, rate=1e-3, updates=400)
found = examine(history, params, adam)

# %%
# The loss stays at the loss of a network without memory (dotted), which always answers with the mean. There is one
# loss, at the end. Its gradient vanishes long before it reaches the first of the two numbers.
#
# Third failure: too much of the remedy
# -------------------------------------
#
# With a larger recurrent matrix gradients reach further. We take a gain of 2.5, and clipping to be safe:

history, params = train(begin(initialize.gaussian(2.5)), sgd, rate=0.05, updates=300, clip=1.0)
found = examine(history, begin(initialize.gaussian(2.5)), sgd)

# %%
# Clipping keeps the loss finite. It does not make the gradient useful: the first steps dominate it, in directions that
# change with every sequence.
#
# The remedy
# ----------
#
# Between vanishing and explosion is a matrix that keeps the length of vectors: an orthogonal one. The loss stays the
# same for more than a thousand updates before it falls.

history, params = train(begin("orthogonal"), adam, rate=5e-4, updates=4000, clip=1.0)
found = examine(history, params, adam)

# %%
# Numbers from elsewhere
# ----------------------
#
# The diagnosis itself needs arrays and no model. A training in another framework has losses, and the norms of
# :math:`\partial L_T / \partial h_{T-k}` take one backward pass. Numbers that are missing are not judged.

elsewhere = rd.dynamics.diagnose(
    flows=0.8 ** np.arange(100), truncation=100, losses=np.full(500, 0.167), baseline=1 / 6
)
print(elsewhere)

# %%
# What to take with you
# ---------------------
#
# * A loss that runs away is an exploding gradient only if the gradient grows on its way back.
# * If the gradient vanishes before the beginning of the window, the loss stays at that of a network without memory.
# * Clipping hides the symptom. Look at the norm before clipping.
# * The diagnosis can be wrong, and says so when its numbers contradict each other: :doc:`/diagnosis` counts how often.
#
# .. rubric:: References
#
# .. [1] Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997).
