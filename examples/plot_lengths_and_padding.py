r"""
Lengths, buckets and padding
============================

Sequences of different lengths become one array when they are padded to the longest of their batch. Padding costs time
and memory. It is also a source of mistakes that raise no error: a mean over cells that no sequence fills, an output
that depends on which other sequences were in the batch. This page measures both.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# The data
# --------
#
# Each line of source code in Python's standard library is a sequence of characters. The network reads a character and
# predicts the next one; the line feed ends a line. Lines of up to 140 characters are taken.

lines = [line + "\n" for line in rd.data.standard_library(200_000).split("\n") if 0 < len(line) <= 140]
vocabulary = rd.data.Vocabulary.from_text("".join(lines))
encoded = [vocabulary.encode(line) for line in lines]
inputs, targets = [line[:-1] for line in encoded], [line[1:] for line in encoded]
lengths = np.array([len(line) for line in inputs])
print(f"{len(lines)} lines of {lengths.min()} to {lengths.max()} characters, {lengths.sum()} in all")

# %%
# Four ways to make batches
# -------------------------
#
# :class:`recurrent_dynamics.data.SequenceBatches` puts sequences of similar length together. With ``batch_size`` all
# batches have as many sequences, and those of long sequences cost more. With ``max_cells`` all batches have about as
# many *cells*, steps times sequences. :class:`recurrent_dynamics.data.PackedBatches` puts several sequences one after
# another in a row, and resets the state where a sequence begins.


class AsTheyCome:
    """Batches of 32 sequences in random order, for comparison."""

    carry_steps = None

    def __init__(self, inputs: list, targets: list, told: bool = True) -> None:
        self.inputs, self.targets, self.told = inputs, targets, told
        order = np.random.default_rng(0).permutation(len(inputs))
        self.parts = np.split(order, range(32, len(order), 32))
        self.batches_per_epoch = len(self.parts)

    def batch(self, number: int) -> rd.nn.Batch:
        part = self.parts[number % len(self.parts)]
        x, ends = rd.data.pad([self.inputs[i] for i in part])
        y, _ = rd.data.pad([self.targets[i] for i in part])
        return rd.nn.Batch(x, y, lengths=ends if self.told else None)


sources = {
    "as they come": AsTheyCome(inputs, targets),
    "32 of similar length": rd.data.SequenceBatches(inputs, targets, 32, per_step=True, seed=0),
    "1400 cells": rd.data.SequenceBatches(inputs, targets, per_step=True, max_cells=1400, width=2, seed=0),
    "packed in rows": rd.data.PackedBatches(inputs, targets, steps=140, batch_size=10, seed=0),
}
for name, source in list(sources.items())[1:]:
    print(f"{name:21s} {source}")

fig, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for ax, (name, source) in zip(axes, sources.items(), strict=True):
    batch = source.batch(3)
    filled = (np.arange(len(batch.inputs))[:, None] < batch.lengths).astype(float)
    if batch.reset is not None:
        filled[batch.reset] = 0.6
    ax.imshow(filled.T, aspect="auto", cmap="Blues", vmin=0, vmax=1.2, interpolation="nearest")
    ax.set_title(f"{name}\n{1 - batch.lengths.sum() / filled.size:.0%} padding", fontsize="medium")
    ax.set_xlabel("step")
axes[0].set_ylabel("row of one batch")

# %%
# The darker a cell, the more it is used: padding is white, and in packed rows each sequence begins with a lighter
# cell.
#
# What padding costs
# ------------------
#
# An epoch of losses and gradients, each way of making batches with the same model. Every way computes the same losses.

model = rd.nn.Model(rd.cells.gru(), hidden_size=96, vocabulary_size=len(vocabulary))
start = model.init(rng=0)
rows = []
for name, source in sources.items():
    batches = [source.batch(number) for number in range(source.batches_per_epoch)]
    model.loss_and_grad(start, batches[0])  # compiled before the clock runs
    cells = np.array([batch.inputs.size for batch in batches])
    steps = np.array([len(batch.inputs) for batch in batches])
    seconds = []
    for batch in batches:
        begun = time.perf_counter()
        model.loss_and_grad(start, batch)
        seconds.append(time.perf_counter() - begun)
    rows.append((name, cells, steps, np.array(seconds)))
    print(
        f"{name:21s} {len(batches):4d} batches  {cells.sum():7d} cells  {steps.sum():6d} steps  "
        f"padding {1 - lengths.sum() / cells.sum():4.0%}  {sum(seconds):.2f} s"
    )

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
names = [row[0] for row in rows]
whole = rows[0][1].sum()
axes[0].barh(names, [lengths.sum() / whole] * 4, color="C0", label="characters")
axes[0].barh(names, [(row[1].sum() - lengths.sum()) / whole for row in rows], left=lengths.sum() / whole,
             color="lightgrey", label="padding")  # fmt: skip
axes[0].set_xlabel("cells, as a share of those of the first way")
axes[0].legend(frameon=False, loc="lower right", fontsize="small")
axes[0].invert_yaxis()
axes[1].boxplot(
    [1000 * row[3] for row in rows], orientation="horizontal", tick_labels=names, showfliers=False
)
axes[1].set_xlabel("milliseconds of a batch")
axes[1].invert_yaxis()

# %%
# Nearly half of the cells of batches in random order are padding. Sorting removes most of it. The time does not fall
# as much as the cells do: this library's recurrent layers list the sequences that have not ended at each step, and
# compute those alone. Embedding, readout and loss are computed for all cells, and every step costs something however
# many sequences are left. Batches of 1400 cells differ less in time than batches of 32 lines. Packed rows leave the
# fewest cells empty, but ten rows side by side walk through many more steps, each of which has a cost of its own.
#
# Mistake 1: a mean over the padding
# ----------------------------------
#
# Without ``lengths`` the loss is a mean over all cells. Two networks are trained on the same batches, in random
# order. The second one is not told the lengths: padding is one more symbol to be read and predicted.

training, held_out = rd.data.partition(len(lines), (0.9, 0.1), seed=0)
x, y = [line + 1 for line in inputs], [line + 1 for line in targets]  # class 0 is padding
network = rd.nn.Model(rd.cells.gru(), hidden_size=96, vocabulary_size=len(vocabulary) + 1)
new = rd.data.SequenceBatches(x, y, 64, per_step=True, chosen=held_out)
for name, told in (("told the lengths", True), ("not told", False)):
    result = rd.training.fit(
        network, network.init(rng=0), AsTheyCome([x[i] for i in training], [y[i] for i in training], told),
        optimizer="adam", learning_rate=3e-3, epochs=4, clip_norm=1.0, progress=False,
    )  # fmt: skip
    shown = result.history["loss"][-len(training) // 32 :].mean()
    print(
        f"{name:17s} loss shown in the last epoch {shown:.2f} nats, on new lines "
        f"{rd.training.evaluate(network, result.params, new):.2f} nats a character"
    )

# %%
# The second network seems to be much better. Its loss is a mean in which nearly half of the terms are padding after
# padding, which is easy to predict. For the characters of new lines it is no better.
#
# Mistake 2: the others in the batch change an answer
# ---------------------------------------------------
#
# The task is now to say whether the last number of a sequence is above its first one. There is one answer for a
# sequence, read at its last step. Without ``lengths`` it is read at the last step of the *batch*, after padding. The
# network is then trained to hold an answer while it reads zeros, for as many steps as it has seen.

rng = np.random.default_rng(0)
numbers = [rng.standard_normal((steps, 1)).cumsum(axis=0) / 3 for steps in rng.integers(5, 31, 2000)]
labels = np.array([int(a[-1, 0] > a[0, 0]) for a in numbers])
classifier = rd.nn.Model(rd.cells.gru(), hidden_size=16, input_size=1, output_size=2, pool="last")
batches = rd.data.SequenceBatches(numbers[:1600], labels[:1600], 32, seed=0)
without = [batches.batch(number)._replace(lengths=None) for number in range(batches.batches_per_epoch)]
learnt = {
    name: rd.training.fit(
        classifier,
        classifier.init(rng=0),
        data,
        optimizer="adam",
        learning_rate=0.01,
        epochs=20,
        progress=False,
    ).params
    for name, data in (("with lengths", batches), ("without lengths", without))
}
padded, ends = rd.data.pad([a.astype("float32") for a in numbers[1600:]])
beyond = np.array([0, 5, 10, 20, 40, 80, 160])
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, params in learnt.items():
    accuracy = []
    for more in beyond:
        longer = np.concatenate([padded, np.zeros((more, *padded.shape[1:]), "float32")])
        classes = classifier.predict(
            params, longer, "class", lengths=ends if name == "with lengths" else None
        )
        accuracy.append(np.mean(classes == labels[1600:]))
    ax.plot(beyond, 100 * np.array(accuracy), marker="o", label=name)
    alone = [
        classifier.predict(params, a[:, None].astype("float32"), "class")[0] == label
        for a, label in zip(numbers[1600:], labels[1600:], strict=True)
    ]
    print(
        f"{name:15s} {100 * np.mean(alone):.1f} % right where each sequence is alone, {100 * accuracy[0]:.1f} % in a "
        f"batch of up to 30 steps, {100 * accuracy[-1]:.1f} % beside a sequence of 190 steps"
    )
ax.set_xlabel("steps of padding that another sequence in the batch brings")
ax.set_ylabel("right answers (%)")
ax.legend(frameon=False)
plt.show()

# %%
# With lengths the answers do not depend on the batch. Without them the network was trained on sorted batches, which
# have little padding, and it answers well for a sequence alone. In a batch of mixed lengths it is hardly better than
# a guess. No error was raised anywhere.
#
# Mistake 3: the way back begins in the padding
# ---------------------------------------------
#
# A layer that reads from the end has to begin at the last step of each sequence. If the padded array is turned as a
# whole, it reads the padding first, and its state is no longer the initial one when the sequence begins.
# :func:`recurrent_dynamics.nn.bidirectional` turns each sequence by itself. The outputs of one sequence alone, and
# beside one that is 20 steps longer:

gru = rd.nn.recurrent(rd.cells.gru(), 8)
both = rd.nn.chain(rd.nn.embedding(len(vocabulary) + 1, 8), rd.nn.bidirectional(gru, gru))
params = both.init(rng=0)
short = x[int(np.flatnonzero(lengths == 10)[0])]
long = x[int(np.flatnonzero(lengths == 30)[0])]
pair, ends = rd.data.pad([short, long])
alone, _ = both(params, short[:, None])
right, _ = both(params, pair, rd.nn.Context(lengths=ends))
wrong, _ = both(params, pair)
for name, found in (("with lengths", right), ("without lengths", wrong)):
    print(f"{name:15s} largest difference of an output: {np.abs(found[:10, :1] - alone).max():.1g}")

# %%
# A test for any network and any data: compute a sequence alone and in a batch with longer ones. The two results have
# to agree.
