r"""
Beam search, and when it is sure
================================

A model of characters gives the probability of the next character. Which *word* is the most probable one is another
question: the most probable first character may lead to improbable words. Beam search follows several beginnings side by
side. It usually finds the best word, and often it can prove it. We complete names of Python's standard library, and
compare what the search finds, what it can prove, and what it costs.
"""

import re

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# A model of names
# ----------------
#
# All different names in the source of Python's standard library, in random order, each ended by a line break. A small
# LSTM learns to predict the next character.

names = sorted(set(re.findall(r"\b[a-z_]{4,20}\b", rd.data.standard_library(600_000))))
text = "\n" + "\n".join(np.random.default_rng(0).permutation(names)) + "\n"
vocabulary = rd.data.Vocabulary.from_text(text)
model = rd.nn.Model(rd.cells.lstm(), hidden_size=96, vocabulary_size=len(vocabulary))
result = rd.training.fit(
    model,
    model.init(rng=0),
    rd.data.Streams(vocabulary.encode(text), batch_size=32, window=40),
    optimizer=rd.training.adam(),
    learning_rate=rd.training.cosine(1e-2, 300),
    updates=300,
    clip_norm=5.0,
)
bits = result.history["loss"][-20:].mean() / np.log(2)
print(
    f"{len(names)} names, {len(vocabulary)} characters; {bits:.2f} bits per character at the end of the training"
)

# %%
# The most probable name
# ----------------------
#
# The searches ask a *predictor* for log-probabilities. Greedy choice takes the most probable character at every step.
# The score of a name is its log-probability, the line break at its end included.

predictor = rd.nn.ModelPredictor(model, result.params)
end = int(vocabulary.encode("\n")[0])


def complete(beginnings: list[str], width: int, **options: object) -> rd.nn.Decoded:
    """The most probable names with these beginnings, all of one length."""
    primes = np.stack([vocabulary.encode("\n" + beginning) for beginning in beginnings], axis=1)
    return rd.nn.beam_search(predictor, primes, length=20, width=width, stop=end, **options)


beginnings = ["con", "get", "rea", "thr"]
greedy, wide = complete(beginnings, width=1), complete(beginnings, width=20)
for b, beginning in enumerate(beginnings):
    row = []
    for found in (greedy, wide):
        name = beginning + vocabulary.decode(found.sequence(b))
        row.append(f"{name:12s} {np.exp(found.log_probabilities[b, 0]):.2%}")
    print(f"{beginning}...   greedy {row[0]}   beam of 20 {row[1]}   certain: {bool(wide.exact[b])}")

# %%
# The second number is never smaller here. *Certain* says that no other name can be more probable. At each step the
# search notes the most probable hypothesis that it drops. A longer sequence is never more probable than its beginning,
# so that no name behind a dropped hypothesis is more probable than the hypothesis itself. If the best name found is at
# least as probable as all of these, it is the best of all names.
#
# The figure shows the ten best names of one beginning. The first lies above the bound, and is certain to be the best.
# Names below the bound may have better ones between them.

ten = complete(["con"], width=20, n_best=10)
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ten.plot(ax=ax)
ax.set(
    xlim=(0.5, 11.2), ylim=(ten.scores.min() - 0.3, ten.scores.max() + 0.5), title="names that begin with con"
)
for k in range(10):
    ax.annotate(
        "con" + vocabulary.decode(ten.sequence(0, k)),
        (k + 1, ten.scores[0, k]),
        xytext=(4, 4),
        textcoords="offset points",
        rotation=20,
        fontsize="small",
    )

# %%
# How wide must a beam be?
# ------------------------
#
# We take all beginnings of three letters that ten names or more have in common. The exact search walks through the tree
# of all names without the branches that cannot win, and knows the answer for each.

three = [name[:3] for name in names if "_" not in name[:3]]
common = [beginning for beginning in sorted(set(three)) if three.count(beginning) >= 10]
primes = np.stack([vocabulary.encode("\n" + beginning) for beginning in common], axis=1)
best = rd.nn.exact_search(predictor, primes, length=20, stop=end)
widths = [1, 2, 3, 5, 8, 12, 20, 30]
found = [complete(common, width) for width in widths]
right = [np.mean(f.scores[:, 0] >= best.scores[:, 0] - 1e-9) for f in found]
certain = [np.mean(f.exact) for f in found]
cost = [f.predictions / len(common) for f in found]

fig, (left, middle) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(widths, right, "o-", label="finds the best name")
left.plot(widths, certain, "s-", label="is certain of it")
left.set(
    xlabel="width of the beam (hypotheses)",
    ylabel=f"part of {len(common)} beginnings",
    ylim=(0, 1.03),
    xscale="log",
)
left.set_xticks(widths, widths)
left.minorticks_off()
left.legend()
middle.plot(widths, cost, "o-", label="beam search")
middle.axhline(best.predictions / len(common), color="0.5", linestyle="--", label="exact search")
middle.set(xlabel="width of the beam (hypotheses)", ylabel="predictions of the model per name", xscale="log")
middle.set_xticks(widths, widths)
middle.minorticks_off()
middle.legend()
for width, r, c, n in zip(widths, right, certain, cost):
    print(f"width {width:2d}: best name {r:4.0%}, certain {c:4.0%}, {n:5.1f} predictions")
print(f"exact search: certain {best.exact.mean():.0%}, {best.predictions / len(common):.1f} predictions")
plt.show()

# %%
# A beam is right more often than it is certain: it cannot exclude names that it has not seen. The greedy choice is
# right for about one beginning in four. A beam of 30 is right for all and knows it. The exact search begins with a beam
# of 10, and then looks only where a better name could be. It needs fewer predictions for the same certainty.

# %%
# Longer names
# ------------
#
# The most probable name is a short one, as every further character costs probability. A length penalty divides the
# log-probability by a power of the number of characters. With an exponent of 1 the score is the mean log-probability of
# a character. A search may then end only when the *longest* name that an open hypothesis could come to has no higher
# score, so that it takes longer, and is less often certain.

for penalty in (-0.5, 0.0, 0.5, 1.0):
    found = complete(common, 20, length_penalty=penalty)
    name = "con" + vocabulary.decode(complete(["con"], 20, length_penalty=penalty).sequence())
    print(
        f"exponent {penalty:4.1f}: mean length {found.lengths.mean() + 3:4.1f}, certain {found.exact.mean():4.0%}, "
        f"{found.predictions / len(common):5.1f} predictions, con... {name}"
    )

# %%
# With an exponent of 1 no name is certain: a beginning that was dropped early could still become a long name, whose
# divisor outweighs its small probability. A wider beam may then find a better name.
