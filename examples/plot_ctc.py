r"""
CTC: learning without alignment
===============================

A telegraph operator writes down letters. A recording of the tone and the letters is all there is to learn from: nobody
says when a letter begins or ends. Connectionist temporal classification (CTC, Graves et al. 2006 [1]_) trains a network
on such pairs. At each step the network names a letter or a *blank*. Repeated names are merged and blanks are removed.
The loss sums the probabilities of all alignments that read as the right letters.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

MORSE = {"A": ".-", "E": ".", "I": "..", "M": "--", "N": "-.", "R": ".-.", "S": "...", "T": "-"}
LETTERS = "".join(MORSE)  # class 0 is the blank, class i + 1 is LETTERS[i]


def message(rng: np.random.Generator, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A tone, on or off, of two to five letters at a speed of its own, with noise; and the classes of its letters."""
    letters = rng.integers(0, len(LETTERS), rng.integers(2, 6))
    unit, tone = rng.uniform(1.2, 2.0), [0.0] * 2
    for letter in letters:
        for sign in MORSE[LETTERS[letter]]:
            length = (1 if sign == "." else 3) * unit * rng.uniform(0.85, 1.15)
            tone += [1.0] * round(length) + [0.0] * round(unit)
        tone += [0.0] * round(2 * unit)
    return np.array(tone) + noise * rng.standard_normal(len(tone)), letters + 1


def batch_of(rng: np.random.Generator, size: int, noise: float = 0.05) -> tuple[np.ndarray, ...]:
    """Tones (T, B, 1), targets (B, U), and the lengths of both."""
    tones, targets = zip(*(message(rng, noise) for _ in range(size)), strict=True)
    x, lengths = rd.data.pad([tone[:, None].astype("float32") for tone in tones])
    labels, counts = rd.data.pad(targets)
    return x, labels.T, lengths, counts


# %%
# Training
# --------
#
# The model predicts 9 numbers at each step. ``ctc_loss`` returns the loss of each message and the derivative by the
# numbers. The model carries it back through time. The derivative is the difference of two probabilities: of a class
# at
# this step by the network, and of a class at this step given the right letters, summed over all alignments.
model = rd.nn.Model(rd.cells.gru(), hidden_size=48, input_size=1, output_size=len(LETTERS) + 1)
params = model.init(rng=0)
optimizer = rd.training.adam()
state = optimizer.init(params)
rng, updates, size = np.random.default_rng(1), 1600, 16
losses = []
for update in range(updates):
    x, targets, lengths, counts = batch_of(rng, size)
    run = model.forward(params, x, lengths=lengths)
    each, d_logits = rd.nn.ctc_loss(run.output, targets, lengths, counts)
    losses.append(float(each.sum() / counts.sum()))
    grads, _ = rd.training.clip_by_global_norm(model.backward(run, d_logits / size).params, 5.0)
    rate = 1e-2 * 0.5 * (1 + np.cos(np.pi * update / updates))
    steps, state = optimizer.update(grads, state, params, rate)
    params = rd.training.apply_updates(params, steps)

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(losses, linewidth=0.6)
ax.set_xlabel("update")
ax.set_ylabel("loss (nats a letter)")
ax.set_yscale("log")

# %%
# The test messages are new, and have up to five times the noise. The error is the number of letters to insert,
# delete or replace, as a share of all letters.


def distance(a: list[int], b: list[int]) -> int:
    """Levenshtein's edit distance."""
    row = np.arange(len(b) + 1)
    for i, one in enumerate(a):
        new = [i + 1]
        for j, other in enumerate(b):
            new.append(min(row[j + 1] + 1, new[j] + 1, row[j] + (one != other)))
        row = np.array(new)
    return int(row[-1])


for noise in (0.05, 0.15, 0.25):
    x, targets, lengths, counts = batch_of(np.random.default_rng(2), 400, noise)
    logits = model.forward(params, x, lengths=lengths).output
    truth = [list(t[:n]) for t, n in zip(targets, counts, strict=True)]
    for width in (1, 2, 10):
        found = rd.nn.ctc_decode(logits, lengths, width=width)
        wrong = sum(distance(list(f[0].labels), t) for f, t in zip(found, truth, strict=True))
        print(
            f"noise {noise}, beam of {width:2d}: {100 * wrong / counts.sum():5.2f} % of {counts.sum()} letters wrong"
        )

# %%
# Where the network says what
# ---------------------------
#
# The network says a letter at one to three steps, and blank at all others. It is sure at nearly every step, so a beam
# finds few other letters than the best path: ten prefixes save less than a tenth of the wrong letters, whatever the
# noise. ``ctc_align`` finds the most likely alignment of the right letters.
b = 0
x, targets, lengths, counts = batch_of(np.random.default_rng(3), 1)
logits = model.forward(params, x, lengths=lengths).output
truth = [list(targets[0, : counts[0]])]
aligned = rd.nn.ctc_align(logits, targets, lengths, counts)
steps = np.arange(lengths[b])
p = np.exp(logits[: lengths[b], b] - logits[: lengths[b], b].max(axis=1, keepdims=True))
p /= p.sum(axis=1, keepdims=True)
fig, axes = plt.subplots(3, 1, figsize=(8, 6), sharex=True, layout="constrained")
axes[0].step(steps, x[: lengths[b], b, 0], where="mid", linewidth=0.8)
axes[0].set_ylabel("tone")
axes[1].plot(steps, p[:, 0], color="grey", linewidth=0.8, label="blank")
for label in dict.fromkeys(truth[b]):
    axes[1].plot(steps, p[:, label], label=LETTERS[label - 1])
axes[1].set_ylabel("probability")
axes[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
aligned.plot(b, ax=axes[2])
axes[2].set_xlabel("step")
print("letters:", "".join(LETTERS[c - 1] for c in truth[b]))

# %%
# What the gradient asks for
# --------------------------
#
# At the beginning of a training all classes are equally likely. The right letters can then stand anywhere in their
# order, and the gradient asks for each letter over many steps. After the training it asks for a letter at one to three
# steps. The figure shows the probability of each state given the right letters, for the same message.
fresh = model.forward(model.init(rng=0), x[:, [b]], lengths=lengths[[b]]).output
fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for ax, name, output in ((axes[0], "before the training", fresh), (axes[1], "after it", logits[:, [b]])):
    log_p = output - np.log(np.exp(output).sum(axis=2, keepdims=True))
    _, gradient = rd.nn.ctc_loss(log_p, targets[[b]], lengths[[b]], counts[[b]], log_probs=True)
    for label in dict.fromkeys(truth[b]):
        ax.plot(steps, -gradient[: lengths[b], 0, label], label=LETTERS[label - 1])
    ax.set_title(name)
    ax.set_xlabel("step")
axes[0].set_ylabel("probability given the letters")
axes[1].legend(frameon=False, fontsize="small")
plt.show()

# %%
# .. [1] Graves, Fernandez, Gomez and Schmidhuber, Connectionist temporal classification, ICML 2006.
