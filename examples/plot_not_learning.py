r"""
Reading the gradients of a network that will not learn
======================================================

A training that fails looks the same from outside, whatever the reason: the loss is high. The reasons leave different
marks in the gradients. :func:`recurrent_dynamics.diagnose` collects the marks and says what an expert would read from
them, with the numbers and what to try. We follow one patient, a network of tanh units that has to add two marked
numbers in a sequence of 40 [1]_, from one failure to the next.
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


# %%
# First complaint: the loss runs away
# -----------------------------------
#
# Plain gradient descent with a rate that was fine for another network:

params, sgd = begin(initialize.gaussian(0.5)), rd.training.sgd()
history, params = train(params, sgd, rate=1.5, updates=100)
found = examine(history, params, sgd)

# %%
# The loss explodes, but not because of the recurrence: on its way back the gradient only shrinks. Twenty updates on one
# batch, repeated at a tenth of the rate, settle it. An experienced eye would have looked at the third panel before
# blaming "exploding gradients".
#
# Second complaint: it does not explode any more, and does not learn
# -------------------------------------------------------------------
#
# The advice was a lower rate, or an optimizer that scales its steps:

adam = rd.training.adam()
history, params = train(begin(initialize.gaussian(0.5)), adam, rate=1e-3, updates=400)
found = examine(history, params, adam)

# %%
# The loss has settled where a network without memory settles (dotted): it always answers with the mean. The gradient of
# the only loss, at the end, is gone long before the first of the two numbers.
#
# Third complaint: too much of the cure
# -------------------------------------
#
# A larger recurrent matrix lets gradients reach further. With a gain of 2.5 and clipping, to be safe:

history, params = train(begin(initialize.gaussian(2.5)), sgd, rate=0.05, updates=300, clip=1.0)
found = examine(history, begin(initialize.gaussian(2.5)), sgd)

# %%
# Clipping keeps the loss finite. It does not make the gradient useful: before it is cut, it says mostly what the first
# steps would have to do, in directions that change with every sequence.
#
# The cure
# --------
#
# Between vanishing and explosion is a matrix that keeps the length of vectors: an orthogonal one. It wants patience:
# the loss stays where it was for some hundred updates before it falls.

history, params = train(begin("orthogonal"), adam, rate=5e-4, updates=4000, clip=1.0)
found = examine(history, params, adam)

# %%
# Numbers from elsewhere
# ----------------------
#
# The reading itself wants arrays and no model: a training in another framework has its losses, and the norms of
# :math:`\partial L_T / \partial h_{T-k}` are one backward pass. What is missing is not judged.

elsewhere = rd.dynamics.diagnose(
    flows=0.8 ** np.arange(100), truncation=100, losses=np.full(500, 0.167), baseline=1 / 6
)
print(elsewhere)

# %%
# What to take with you
# ---------------------
#
# * A loss that runs away is an exploding gradient only if the gradient grows on its way back.
# * A loss at the level of a network without memory, and a gradient that is gone before the window is over, belong
#   together.
# * Clipping hides the symptom. Look at the norm before it.
# * The reading can be wrong, and says so when its numbers contradict each other: :doc:`/diagnosis` counts how often.
#
# .. rubric:: References
#
# .. [1] Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997).
