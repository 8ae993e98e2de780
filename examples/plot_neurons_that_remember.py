r"""
Which neurons remember?
=======================

Some units of a character model can be read: one is high inside of quotes, another counts the characters of a line. In
2015 Karpathy, Johnson and Fei-Fei found such cells of an LSTM by looking at coloured text [1]_. Here they are found by
themselves: signals that a reader of code keeps in mind are computed from the text, and every unit's cell state is
correlated with every signal.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# A model of Python
# -----------------
#
# An LSTM of 128 units learns the source of Python's standard library for forty seconds. The text after the part that
# it is trained on is cut into two: units are chosen on one and judged on the other. The number of updates and the
# length of the windows were settled by such correlations too, on text before the last part, which took part in no
# choice at all.

text = rd.data.standard_library(1_260_000)
vocabulary = rd.data.Vocabulary.from_text(text)
characters = vocabulary.encode(text)
training_part, choice_part, report_part = np.split(characters, [1_050_000, 1_160_000])
lstm = rd.cells.lstm()
model = rd.nn.Model(lstm, hidden_size=128, vocabulary_size=len(vocabulary), embedding_size=32)
params = model.init(rng=0)
params["layers"]["0"] = rd.cells.with_bias(lstm, params["layers"]["0"], f=1.0)  # an open forget gate
updates = 1800
result = rd.training.fit(
    model,
    params,
    rd.data.Streams(training_part, batch_size=16, window=128),
    optimizer=rd.training.adam(),
    learning_rate=rd.training.cosine(1e-2, updates),
    updates=updates,
    clip_norm=5.0,
)
print(f"{result.history['loss'][-20:].mean() / np.log(2):.2f} bits per character at the end of training")

# %%
# What a reader keeps in mind
# ---------------------------
#
# Five signals, computed by rule after each character, from the beginning of the whole text: the first of the two parts
# begins within a string, and a reader who does not know that would take code for strings and strings for code.

unread = np.concatenate([choice_part, report_part])
sample = vocabulary.decode(unread)
signals = {name: values[-len(unread) :] for name, values in rd.data.text_signals(text).items()}
for name, values in signals.items():
    print(f"{name:18s} mean {values.mean():5.2f}, highest {values.max():.0f}")

# %%
# Which unit tracks what
# ----------------------
#
# The model reads both parts in one go. Pearson's correlation of :math:`c_t` of every unit with every signal names a
# unit for each. With 128 units to choose from a part of it is luck: that is why the unit is chosen on the first part,
# and judged on the second.

run = model.forward(result.params, unread[:, None]).runs[0]
cells = run.states["c"][:, 0]
found = rd.dynamics.tracking(cells, signals, held_out=len(report_part) / len(unread))
print(found)

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
rd.plot.axes(ax)
for k, name in enumerate(found.names):
    ax.plot(np.sort(np.abs(found.correlation[k]))[::-1], color=rd.plot.colour(k), label=name)
    ax.plot(0, np.abs(found.held_out[k]), "o", ms=5, color=rd.plot.colour(k))
ax.set(xlabel="units, best first", ylabel="absolute correlation", xlim=(-1, 40), ylim=(0, 1))
ax.set_title("all units against each signal; dots: the chosen ones on other text")
ax.legend(frameon=False)

# %%
# Seeing them at work
# -------------------
#
# Each letter is coloured by the cell state after it was read, relative to its mean (red above, blue below; turned
# where the correlation is negative). The passage is the one of the second part where all signals vary most; units whose
# correlation is below 0.4 on the first part, where they were chosen, are left out.

length = 700
spans = range(len(choice_part), len(sample) - length, 50)
spread = lambda a: sum(v[a : a + length].std() / (v.std() + 1e-9) for v in signals.values())
begin = sample.index("\n", max(spans, key=spread)) + 1
passage = slice(begin, begin + length)
for k in np.flatnonzero(np.abs(found.correlation).max(axis=1) > 0.4):
    unit, name = found.unit[k], found.names[k]
    values = (cells[:, unit] - cells[:, unit].mean()) * np.sign(found.correlation[k, unit])
    rd.plot.coloured_text(
        sample[passage],
        values[passage],
        limit=2.5 * values.std(),
        title=f"unit {unit}: {name} (held-out correlation {abs(found.held_out[k]):.2f})",
        ax=plt.figure(figsize=(8.4, 4.2), layout="constrained").subplots(),
    )

# %%
# Their forget gates
# ------------------
#
# A unit that remembers must not forget. The time scale :math:`\tau = -1 / \ln \bar f` of a unit is how long its cell
# keeps what it holds.

scales = rd.dynamics.time_scales(rd.dynamics.direct_factors(run)["c"], slot="c").steps
order = np.argsort(np.argsort(scales))
print(f"median of all units: {np.median(scales):.1f} steps")
for k, name in enumerate(found.names):
    unit = found.unit[k]
    share = order[unit] / len(scales)
    print(f"{name:18s} unit {unit:3d}: {scales[unit]:6.1f} steps, slower than {share:.0%} of the units")

# %%
# What to take with you
# ---------------------
#
# * A correlation with a signal that one can name finds readable units without looking at any.
# * Choosing the best of many flatters: judge on text that had no part in the choice.
# * Not every signal has its unit after so short a training, and most units cannot be read. A signal may be carried by
#   many units at once, and a unit may carry several.
#
# .. rubric:: References
#
# .. [1] Karpathy, Johnson and Fei-Fei, Visualizing and understanding recurrent networks, arXiv:1506.02078 (2015).
