r"""
Captions of small scenes
========================

A network looks at a picture and says in words what is there: one to many. The pictures are no photographs. Each has
four fields, two to four of them hold a handwritten digit of 8 by 8 pixels, and the captions follow a grammar of a few
rules. As with photographs, the network has to recognise several things, to keep them apart, and to say them in order.
The decoder may look at one part of the picture as it writes a word [1]_, or know the picture by a summary alone.

The digits come with scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# Pictures and captions
# ---------------------
#
# The images of digits are parted first, so that no image of a test picture is known from the training.

images, labels = rd.data.digits()
known, new = rd.data.partition(len(labels), (0.8, 0.2), seed=0, labels=labels)
training = rd.data.digit_scenes(images[known], labels[known], 8000, rng=0)
test = rd.data.digit_scenes(images[new], labels[new], 500, rng=1)
vocabulary = rd.data.TokenVocabulary.from_sequences(training.captions, begin="<begin>", end="<end>")
print(vocabulary)

fig, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for ax, picture, caption in zip(axes, test.pictures, test.captions, strict=False):
    ax.imshow(picture, cmap="Greys", vmin=0, vmax=1)
    ax.set_title("\n".join(" ".join(caption).split(" , ")), fontsize="small")
    ax.set_axis_off()

# %%
# Features
# --------
#
# Decoders of photographs read features of a network that was trained to name things. So it is done here: a layer of 64
# units learns to name single digits. What the units say of a field are its features. Four more numbers tell which of
# the fields it is. A recurrent layer that takes one step is a layer of a plain network.

namer = rd.nn.Objective(
    rd.nn.chain(rd.nn.recurrent(rd.cells.elman(), 64, input_size=64), rd.nn.dense(None, 10)), pool="last"
)


def single(pictures: np.ndarray) -> np.ndarray:
    """Pictures of one digit as sequences of one step."""
    return pictures.reshape(1, -1, 64)


order = np.random.default_rng(0).permuted(np.tile(np.arange(len(known)), (30, 1)), axis=1)
batches = [(single(images[known][o]), labels[known][o]) for part in order for o in np.array_split(part, 12)]
named = rd.training.fit(
    namer, namer.init(rng=0), batches, optimizer="adam",
    learning_rate=rd.training.cosine(5e-3, len(batches)), updates=len(batches), progress=False,
)  # fmt: skip
right = namer.predict(named.params, single(images[new]), "class") == labels[new]
print(f"{100 * right.mean():.1f} % of the new digits are named right")


def features(scenes: rd.data.Scenes) -> np.ndarray:
    """What the namer's units say of each field, and which field it is: (4, pictures, 68)."""
    fields = rd.data.patches(scenes.pictures, 8)
    run = namer.run(named.params, (single(fields), np.zeros(fields[..., 0].size, int)))
    units = run.runs[0].output[0].reshape(4, -1, 64)
    place = np.broadcast_to(np.eye(4, dtype="float32")[:, None], (4, units.shape[1], 4))
    return np.concatenate([units, place], axis=2)


# %%
# Two decoders
# ------------
#
# An encoder reads the fields in both directions. One decoder attends: at every step it reads a mean of what the encoder
# said of the four fields, with weights that depend on its own state. The other one has no more than the final states of
# the encoder, which it starts from and reads at every step.

begin, end = vocabulary.indices["begin"], vocabulary.indices["end"]
words = {"classes": len(vocabulary), "begin": begin, "end": end}


def looking(units: int) -> rd.nn.Layer:
    """Reads the fields in both directions."""
    gru = rd.nn.recurrent(rd.cells.gru(), units, input_size=68)
    return rd.nn.bidirectional(gru, gru)


attending = rd.cells.attention(rd.cells.gru(), keys="64", values="64")
models = {
    "attention": rd.nn.encoder_decoder(looking(32), rd.nn.recurrent(attending, 96), **words),
    "summary": rd.nn.encoder_decoder(
        looking(96), rd.nn.recurrent(rd.cells.gru(), 96), every_step=True, **words
    ),
}
data = rd.data.NamedBatches(
    {
        "source": list(features(training).swapaxes(0, 1)),
        "target": [vocabulary.encode(caption) for caption in training.captions],
    },
    batch_size=64,
    seed=0,
)
updates, results = 1000, {}
ax = plt.subplots(figsize=(6, 3), layout="constrained")[1]
for name, model in models.items():
    results[name] = rd.training.fit(
        model, model.init(rng=0), data, optimizer="adam", learning_rate=rd.training.cosine(4e-3, updates),
        updates=updates, clip_norm=1.0, progress=False,
    )  # fmt: skip
    ax.plot(rd.plot.smooth(results[name].history["loss"], 20), label=name)
ax.set_xlabel("update")
ax.set_ylabel("loss (nats a word)")
ax.set_yscale("log")
ax.legend(frameon=False)

# %%
# New pictures
# ------------
#
# The most probable caption is searched with a beam. A word is wrong where it has to be inserted, deleted or replaced.

source, said = features(test), {}
for name, model in models.items():
    for width in (1, 5):
        found = model.decode(results[name].params, source, length=16, width=width)
        said[name] = [vocabulary.decode(found.sequence(b)) for b in range(len(test.captions))]
        print(f"{name}, beam of {width}: {rd.training.error_rates(said[name], test.captions)}")

# %%
# What goes wrong? The words of the grammar, or the digits?

digit_words = set("zero one two three four five six seven eight nine".split())
for name in models:
    for what, keep in (("digits", True), ("other words", False)):
        parts = [
            [[w for w in caption if (w in digit_words) == keep] for caption in group]
            for group in (said[name], test.captions)
        ]
        print(f"{name}, {what}: {rd.training.error_rates(*parts)}")

# %%
# Where it looks
# --------------
#
# The weights of the words that the decoder with attention has written, on the picture. They are those of the run in
# which it reads its own caption.

model = models["attention"]
chosen = [
    next(b for b, caption in enumerate(test.captions) if word in caption) for word in ("above", "nothing")
]
encoded = [np.array(vocabulary.encode(said["attention"][b])) for b in chosen]
target, lengths = rd.data.pad(encoded)
run = model.run(results["attention"].params, rd.nn.Pairs(source[:, chosen], target, None, lengths))
for k, b in enumerate(chosen):
    shown = said["attention"][b]
    rd.plot.attended_picture(run.attention[: len(shown), k], test.pictures[b], shown)

# %%
# As it writes a digit it looks at that field, and as it writes "nothing" at the empty one. How sure is this? Over all
# test captions with four digits, which are said in the order of the fields, the weight at the field of the digit that
# is written:

four = [b for b, digits in enumerate(test.digits) if (digits >= 0).all()]
target, lengths = rd.data.pad([np.array(vocabulary.encode(test.captions[b])) for b in four])
run = model.run(results["attention"].params, rd.nn.Pairs(source[:, four], target, None, lengths))
weights = np.stack([run.attention[2 * field + 1, :, field] for field in range(4)])  # "a seven an eight ..."
print(
    f"weight at the field of the digit: {weights.mean():.2f} in the mean, {np.median(weights):.2f} in the median"
)

# %%
# Captions in which something is wrong:

wrong = [
    b for b, (own, right) in enumerate(zip(said["attention"], test.captions, strict=True)) if own != right
][:4]
fig, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for ax in axes:
    ax.set_axis_off()
for ax, b in zip(axes, wrong, strict=False):
    ax.imshow(test.pictures[b], cmap="Greys", vmin=0, vmax=1)
    ax.set_title("\n".join(" ".join(said["attention"][b]).split(" , ")), fontsize="small", color="C3")
plt.show()

# %%
# .. [1] Xu et al., Show, attend and tell: neural image caption generation with visual attention, ICML 2015.
