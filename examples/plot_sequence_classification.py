r"""
Classifying sequences of different lengths
==========================================

Each sequence has one label and a length of its own. The sequences are padded into batches, the model reads the output
of its recurrent layer at the last valid step of each, and training reports the accuracy on sequences that are held
out. Nothing on this page is a loop over updates.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# The data
# --------
#
# Any list of arrays ``(T_b, N)`` with a label each will do. Here they are made up: the velocity of a pen that draws one
# of four figures, at a speed, from a place and at a size of its own, with noise.

FIGURES = ("circle", "circle, backwards", "figure of eight", "triangle")


def velocity(figure: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """The movements (steps, 2) of a pen that draws a figure once."""
    turns = rng.random() + np.linspace(0, rng.uniform(0.9, 1.1), steps + 1)
    angle = 2 * np.pi * turns
    if figure < 2:
        path = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        path[:, 1] *= -1 if figure else 1
    elif figure == 2:
        path = np.stack([np.sin(angle), np.sin(2 * angle) / 2], axis=1)
    else:
        corners = np.array([[0, 1], [-0.87, -0.5], [0.87, -0.5], [0, 1]])
        at = 3 * (turns % 1)
        path = np.stack([np.interp(at, range(4), corners[:, k]) for k in range(2)], axis=1)
    path = rng.uniform(0.5, 2) * path + 0.01 * rng.standard_normal(path.shape)
    return 10 * np.diff(path, axis=0)


rng = np.random.default_rng(0)
labels = rng.integers(0, 4, 1500)
sequences = [velocity(label, rng.integers(20, 121), rng) for label in labels]

# %%
# Three parts, each with the classes in the same shares. :class:`recurrent_dynamics.data.SequenceBatches` pads the
# sequences to batches. It sorts them by length first, as the padding is computed like everything else:

training, validation, test = rd.data.partition(len(labels), (0.7, 0.15, 0.15), seed=0, labels=labels)
batches = rd.data.SequenceBatches(sequences, labels, batch_size=32, chosen=training, seed=0)
held_out = rd.data.SequenceBatches(sequences, labels, batch_size=32, chosen=validation)
print(batches)
first = batches.batch(0)
print(
    f"one batch: inputs {first.inputs.shape}, targets {first.targets.shape}, lengths {first.lengths[:5]} ..."
)

# %%
# Training
# --------
#
# ``pool="last"`` reads the output of the recurrent layer at the last valid step of each sequence, ``pool="mean"`` its
# mean over the valid steps. Steps beyond the length have no influence on loss or gradient.

model = rd.nn.Model(rd.cells.lstm(), hidden_size=32, input_size=2, output_size=4, pool="last")
result = rd.training.fit(
    model,
    model.init(rng=0),
    batches,
    optimizer=rd.training.adam(),
    learning_rate=5e-3,
    epochs=25,
    clip_norm=1.0,
    validation=held_out,
    metrics=["accuracy"],
    early_stopping=rd.training.EarlyStopping(patience=6),
)
found = result.history.validation

# %%
# ``result.history`` holds both curves, with a row of ``validation`` for every epoch:

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
rd.plot.axes(left).plot(
    result.history["epoch"], result.history["loss"], color=rd.plot.colour(0), lw=0.6, label="training"
)
left.plot(found["epoch"], found["loss"], "o-", color=rd.plot.colour(1), label="validation")
left.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, None))
left.legend(frameon=False)
rd.plot.axes(right).plot(found["epoch"], found["accuracy"], "o-", color=rd.plot.colour(1))
right.set(xlabel="epoch", ylabel="accuracy on the validation part", ylim=(0, 1.02))

# %%
# Predictions
# -----------
#
# ``predict`` gives classes, probabilities or the logits themselves. The parameters of the lowest validation loss are
# kept in ``best_params``. Accuracy on the test part, which nothing above has seen, and how often each class (row) was
# taken for which class (column, in the same order):

params = result.best_params
x, lengths = rd.data.pad([sequences[i].astype("float32") for i in test])
classes = model.predict(params, x, "class", lengths=lengths)
print(f"accuracy on {len(test)} test sequences: {np.mean(classes == labels[test]):.3f} (0.25 by chance)")

confusion = np.zeros((4, 4), int)
np.add.at(confusion, (labels[test], classes), 1)
for name, row in zip(FIGURES, confusion, strict=True):
    print(f"{name:18s}", *(f"{count:4d}" for count in row))

# %%
# Nearly all are right. How early does the network know? Only the lengths have to be changed:

shares = np.linspace(0.05, 1, 20)
right_at = [
    np.mean(
        model.predict(params, x, "class", lengths=np.maximum(1, (share * lengths).astype(int)))
        == labels[test]
    )
    for share in shares
]
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
rd.plot.axes(ax).plot(100 * shares, right_at, "o-", color=rd.plot.colour(0))
ax.axhline(0.25, color="0.6", lw=0.8)
ax.text(100, 0.26, "by chance", ha="right", va="bottom", color="0.4", fontsize="small")
ax.set(xlabel="part of the sequence that was read (%)", ylabel="accuracy on the test part", ylim=(0, 1.02))
plt.show()

# %%
# The accuracy rises with the part that is read. The network was trained to answer at the end, and a figure that is half
# drawn can still become another one.
