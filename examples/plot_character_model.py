r"""
A character model of Python
===========================

A small LSTM [1]_ reads the source of Python's standard library character by character, and learns to predict the next
one. Afterwards we look inside: how far back do its gradients reach, and how long do its units remember?
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# The text
# --------
#
# The text is made of some modules of Python's standard library, the same for everybody who has the same Python
# version. Its last 5 % are held out.

text = rd.data.standard_library(300_000)
vocabulary = rd.data.Vocabulary.from_text(text)
training_part, held_out = rd.data.split(vocabulary.encode(text), 0.05)
print(f"{len(text)} characters, {len(vocabulary)} different ones, e.g. {text[1000:1050]!r}")

# %%
# The model
# ---------
#
# A vector for each character, one LSTM layer,
#
# .. math::
#
#    \begin{aligned}
#    (i_t, f_t, o_t) &= \sigma(W x_t + U h_{t-1} + b), & g_t &= \tanh(W_g x_t + U_g h_{t-1} + b_g), \\
#    c_t &= f_t \odot c_{t-1} + i_t \odot g_t, & h_t &= o_t \odot \tanh c_t ,
#    \end{aligned}
#
# and a linear readout of :math:`h_t` with a softmax, which gives the probability of every character to be the next one.
# The loss is the mean of :math:`-\log_2` of the probability of the character that came, in bits per character.

model = rd.nn.Model(rd.cells.lstm(), hidden_size=128, vocabulary_size=len(vocabulary), embedding_size=32)
start = model.init(rng=0)
print(model)

# %%
# Training
# --------
#
# The text is read as 50 streams side by side, with windows of 50 characters and one update for each window. The state
# is carried from window to window. The gradient ends at the beginning of its window.

updates = 400
result = rd.training.fit(
    model,
    start,
    rd.data.Streams(training_part, batch_size=50, window=50),
    optimizer=rd.training.adam(),
    learning_rate=rd.training.cosine(1e-2, updates),
    updates=updates,
    clip_norm=5.0,
    validation=rd.data.Streams(held_out, batch_size=10, window=50, partial=True),
    validate_every=50,
)
history = result.history
bits = {"training": history["loss"] / np.log(2), "held out": history.validation["loss"] / np.log(2)}
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
rd.plot.learning_curve(
    history["update"], bits["training"], history.validation["update"], bits["held out"], ax=ax
)
print(
    f"{np.log2(len(vocabulary)):.2f} bits per character by guessing, {bits['held out'][0]:.2f} after 50 updates, "
    f"{bits['held out'][-1]:.2f} after {updates} ({history['seconds'][-1]:.0f} s)"
)

# %%
# The held-out part is the end of the last module. It has words that occur nowhere before, and stays harder than the
# text of the training.

# %%
# What it writes
# --------------
#
# A character is drawn from the probabilities of the model, and becomes the next input. A temperature below 1 makes
# likely characters likelier.

prime = "def "
sample = rd.nn.generate(model, result.params, vocabulary.encode(prime), 400, temperature=0.6, rng=1)
print(prime + vocabulary.decode(sample))

# %%
# What it remembers
# -----------------
#
# We take the loss of a *single* character, the last one of a window. Its gradient by the hidden state :math:`h_t`, at
# the lag :math:`T - t`, says how much a small change at that time would matter now. We compute it in 60 windows of the
# held-out text, before and after training.

window, windows = 100, 60
starts = np.linspace(0, len(held_out) - 2 * window - 1, windows).astype(int)
read = held_out[starts + np.arange(2 * window + 1)[:, None]]  # (steps, windows)


def last_loss_flow(params: dict) -> rd.dynamics.GradientFlow:
    """The gradient of a window's last loss by every hidden state, after as many characters were read before."""
    before = model.forward(params, read[:window])
    run = model.forward(params, read[window:-1], initial=before.final)
    _, d_output = model.score(run.output, (read[window:-1], read[window + 1 :]))
    d_output[:-1] = 0
    d_output *= window * windows  # of the loss itself, not of its share in the mean
    grads = model.backward(run, d_output)
    return rd.dynamics.gradient_flow(grads.layers[0].states["h"])


flows = {"before training": last_loss_flow(start), "after training": last_loss_flow(result.params)}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for k, (name, flow) in enumerate(flows.items()):
    flow.plot(ax=ax, index=k, label=name, truncation=50)
    reach = "more than 99" if flow.reach() is None else flow.reach()
    print(f"{name:16s} factor per step {flow.rate(50):.4f} over 50 steps; below 1 % after {reach}")
ax.set(ylim=(1e-12, 10), title="gradient of the last loss: mean, median and middle 80 % of the windows")

# %%
# In words:

for sentence in rd.dynamics.diagnose([flows["after training"]], truncation=50).sentences:
    print(sentence)

# %%
# The untrained network forgets within a few characters. Training opened some forget gates and closed others. The time
# scale of a unit is :math:`\tau = -1 / \ln \bar f`: after so many steps its cell has a fraction :math:`1/e` of its
# content left.

scales = []
for params in (start, result.params):
    run = model.forward(params, read[:-1]).runs[0]
    scales.append(rd.dynamics.time_scales(rd.dynamics.direct_factors(run)["c"], slot="c"))
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
rd.plot.time_scales(scales, labels=list(flows), ax=ax)
for name, found in zip(flows, scales):
    print(f"{name:16s} median {np.median(found.steps):.1f} steps, slowest unit {found.steps.max():.1f} steps")
plt.show()

# %%
# The full thing
# --------------
#
# With a megabyte of source and about a minute, this command trains a model that writes better Python. Its report also
# has the singular values of Jacobian products, saturated gates and more [2]_:
#
# .. code-block:: sh
#
#    recurrent-dynamics study
#
# .. rubric:: References
#
# .. [1] Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997).
# .. [2] Karpathy, Johnson and Fei-Fei, Visualizing and understanding recurrent networks, arXiv:1506.02078 (2015).
