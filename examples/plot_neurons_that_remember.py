r"""
Which neurons remember?
=======================

Some units of a character model have a clear meaning: one is high inside of quotes, another counts the characters of a
line. In 2015 Karpathy, Johnson and Fei-Fei found such cells of an LSTM by looking at coloured text [1]_. Here a
computation finds them: signals that a reader of code keeps in mind are computed from the text, and the cell state of
every unit is correlated with every signal.
"""

import sysconfig
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# A model of Python
# -----------------
#
# An LSTM of 160 units has read the source of Python's standard library 28 times
# (``python docs/make_code_model.py FOLDER``, a quarter of an hour on one thread; the weights are kept in a file of
# 530 kB). It was never shown a file whose name begins with "t". Nine of these are cut into two parts: units are chosen
# on one and judged on the other.

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
path = next(p for p in (here, *here.parents) if (p / "docs").is_dir()) / "docs/_static/data/code_model.npz"
kept = rd.study.load_model(path)
model, params = kept.model, kept.params
vocabulary = rd.data.Vocabulary(kept.vocabulary.characters, unknown="?")

library = Path(sysconfig.get_path("stdlib"))
source = lambda *names: "".join(rd.data.read_text(library / f"{name}.py") for name in names)
choice = source("tarfile", "threading", "trace", "traceback")
report = source("tempfile", "textwrap", "timeit", "tokenize", "typing")
text = choice + report
characters = vocabulary.encode(text)[:, None]
run = model.forward(params, characters)
bits = model.score(run.output[:-1], (characters[:-1], characters[1:]))[0] / np.log(2)
print(f"{len(text):,} characters that it has not seen, at {bits:.2f} bits each\n")
print(kept.sample("def split_words(text, width=70):\n", 300, temperature=0.5))

# %%
# What a reader keeps in mind
# ---------------------------
#
# Five signals are computed by rule after each character. Strings and comments both contain English. A unit that tells
# prose from code would therefore seem to know of quotes. "Prose" (a string or a comment) is a sixth signal.

signals = rd.data.text_signals(text)
signals["prose"] = np.maximum(signals["inside quotes"], signals["inside a comment"])
for name, values in signals.items():
    print(f"{name:18s} mean {values.mean():5.2f}, highest {values.max():.0f}")

# %%
# Which unit tracks what
# ----------------------
#
# The model reads all files one after the other. For each signal we take the unit whose :math:`c_t` has the largest
# correlation (Pearson's) with it. With 160 units to choose from, a part of that correlation is luck. Therefore the unit
# is chosen on the first part of the text, and judged on the second.

share = len(report) / len(text)
cells = run.runs[0].states["c"][:, 0]
found = rd.dynamics.tracking(cells, signals, held_out=share)
print(found)
untrained = model.forward(model.init(rng=0), characters).runs[0].states["c"][:, 0]
print("\nwith random weights")
print(rd.dynamics.tracking(untrained, signals, held_out=share))

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
rd.plot.axes(ax)
for k, name in enumerate(found.names):
    ax.plot(np.sort(np.abs(found.correlation[k]))[::-1], color=rd.plot.colour(k), label=name)
    ax.plot(0, np.abs(found.held_out[k]), "o", ms=5, color=rd.plot.colour(k))
ax.set(xlabel="units, best first", ylabel="absolute correlation", xlim=(-1, 40), ylim=(0, 1))
ax.set_title("all units against each signal; dots: the chosen ones on other text")
ax.legend(frameon=False)

# %%
# Quotes, brackets, the place in the line and the depth of the code each have a unit with a correlation above 0.5 on
# files that had no part in the choice (0.59, 0.69, 0.50 and 0.68, by other units, after a training that began with
# ``--seed 1``). Random weights have none; the place in the line comes nearest. Comments have no unit of their own: the
# unit of the quotes says that the model reads prose.
#
# Seeing them at work
# -------------------
#
# Each letter is coloured by the cell state after it was read, relative to the mean: red above, blue below, and the
# other way round where the correlation is negative. The passage is the one of the second part where all signals vary
# most. Units with a correlation below 0.5 on the first part are left out.

length = 700
spans = range(len(choice), len(text) - length, 50)
spread = lambda a: sum(v[a : a + length].std() / v.std() for v in signals.values())
begin = text.index("\n", max(spans, key=spread)) + 1
passage = slice(begin, begin + length)
chosen = np.flatnonzero(np.abs(found.correlation).max(axis=1) > 0.5)
for unit in dict.fromkeys(found.unit[chosen]):
    own = [k for k in chosen if found.unit[k] == unit]
    values = (cells[:, unit] - cells[:, unit].mean()) * np.sign(found.correlation[own[0], unit])
    tracked = ", ".join(f"{found.names[k]} ({abs(found.held_out[k]):.2f})" for k in own)
    rd.plot.coloured_text(
        text[passage],
        values[passage],
        limit=2.5 * values.std(),
        title=f"unit {unit}: {tracked}",
        ax=plt.figure(figsize=(8.4, 4.2), layout="constrained").subplots(),
    )

# %%
# A unit may have several meanings: the unit of the depth also responds to a word quoted inside of a string.
#
# Take the quotes away
# --------------------
#
# A correlation may have another cause than the quotes, such as the words between them. So the model reads one line
# twice, after the same file: with its quotes, and with spaces in their place. Try a line of your own.

line = '    parser.error("no such file in this folder or in any other one"); return\n'
before = source("textwrap")
pair = np.stack([vocabulary.encode(before + variant) for variant in (line, line.replace('"', " "))], axis=1)
read = model.forward(params, pair).runs[0]
gates = rd.dynamics.direct_factors(read)["c"]
unit = found.unit[found.names.index("inside quotes")]
fig, (above, below) = plt.subplots(2, figsize=(8.4, 4.6), sharex=True, layout="constrained")
for b, label in enumerate(["with quotes", "without"]):
    above.plot(read.states["c"][-len(line) :, b, unit], ".-", color=rd.plot.colour(b), label=label)
    below.plot(gates[-len(line) :, b, unit], ".-", color=rd.plot.colour(b))
rd.plot.axes(above).set(ylabel=f"cell state of unit {unit}", title="the same words")
rd.plot.axes(below).set(ylabel="its forget gate", ylim=(0, 1.05))
below.set_xticks(range(len(line)), [c.strip() for c in line], family="monospace", fontsize=7)
above.legend(frameon=False)

apart = np.abs(read.states["c"][-len(line) :, 0, unit] - read.states["c"][-len(line) :, 1, unit])
opening, closing = line.index('"'), line.rindex('"')
places = {"before the quote": opening - 1, "a letter later": opening + 1, "last letter inside": closing - 1}
for name, place in places.items():
    print(f"{name:18s} {apart[place]:.2f} apart")

# %%
# The opening quote separates the two. The forget gate half closes at the quote, and is open again for all letters that
# follow. Most of the difference is therefore still there at the last letter. The rest is the effect of the words: they
# move the unit in the same way without any quotes, as in a comment. The time scale :math:`\tau = -1 / \ln \bar f`, with
# the mean of the gate over all letters, says how long the cell keeps its content.

scales = rd.dynamics.time_scales(gates, slot="c").steps
rank = np.argsort(np.argsort(scales))
print(f"median of all units: {np.median(scales):.1f} steps")
for name, unit in zip(found.names, found.unit, strict=True):
    slower = rank[unit] / len(scales)
    print(f"{name:18s} unit {unit:3d}: {scales[unit]:6.1f} steps, slower than {slower:.0%} of the units")

# %%
# Gates are not everything
# ------------------------
#
# The gate implies the time scale of the unit alone. The autocorrelation of the states shows how long units really hold
# something. For nearly all units this is longer than their gates imply: other units that remember write the same
# content again, and the text repeats itself. The right panel shows the share that k steps of forget gates alone leave.
# Each unit forgets about exponentially, but the mean over fast and slow units does not.

on_report = rd.forward(model.cells[0], dict(run.runs[0].params), run.runs[0].x[-20_000:])
factors, states = rd.dynamics.direct_factors(on_report)["c"], on_report.states["c"]
fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.8), layout="constrained")
implied, measured = rd.dynamics.time_scales(factors), rd.dynamics.measured_time_scales(states)
rd.plot.compared_time_scales(implied, measured, ax=left)
rd.dynamics.direct_products(factors, slot="c", steps=2 ** np.arange(11)).plot(ax=right)
for name, values in (("implied", implied.steps), ("measured", measured.steps)):
    print(
        f"{name:9s} median {np.median(values):.1f}, slowest tenth above {np.quantile(values, 0.9):.1f} steps"
    )
plt.show()

# %%
# What to take with you
# ---------------------
#
# * Correlations with named signals find units with a meaning, without a look at any unit.
# * The best of many units looks better than it is: judge it on text that had no part in the choice.
# * A unit that correlates with quotes may follow something near to them: make that a signal too, and change the text.
# * A unit can hold something for longer than its gate implies, because other units write it again.
# * Most units have no clear meaning. Many units may carry one signal together, and one unit may carry several.
#
# .. rubric:: References
#
# .. [1] Karpathy, Johnson and Fei-Fei, Visualizing and understanding recurrent networks, arXiv:1506.02078 (2015).
