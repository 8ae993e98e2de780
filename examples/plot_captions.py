r"""
Captions of small scenes
========================

A network looks at a picture and says in words what is there: one to many. A recurrent *encoder* reads the patches of
the picture, a recurrent *decoder* writes the caption, word by word. The pictures are no photographs. Each has four
fields, two to four of them hold a handwritten digit of 8 by 8 pixels, and the captions follow a grammar of a few
rules. As with photographs, the network has to recognise several things, to keep them apart, and to say them in order.

The digits come with scikit-learn.
"""

import matplotlib.pyplot as plt

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
# The patches are the four fields, in reading order. Sources and targets are batched by name, so that captions of
# similar length come together:


def patches_of(scenes: rd.data.Scenes) -> list:
    """Four patches of 64 pixels for each picture."""
    return list(rd.data.patches(scenes.pictures, 8).swapaxes(0, 1))


data = rd.data.NamedBatches(
    {"source": patches_of(training), "target": [vocabulary.encode(caption) for caption in training.captions]},
    batch_size=64,
    seed=0,
)
print(data)

# %%
# Training
# --------
#
# The encoder reads the patches in both directions. Its final states are the summary of the picture, 192 numbers, which
# start the decoder and are read by it at every step.

gru = rd.nn.recurrent(rd.cells.gru(), 96)
encoder = rd.nn.bidirectional(rd.nn.recurrent(rd.cells.gru(), 96, input_size=64), gru)
begin, end = vocabulary.indices["begin"], vocabulary.indices["end"]
model = rd.nn.encoder_decoder(encoder, gru, classes=len(vocabulary), begin=begin, end=end, every_step=True)
updates = 1000
result = rd.training.fit(
    model, model.init(rng=0), data, optimizer="adam", learning_rate=rd.training.cosine(4e-3, updates),
    updates=updates, clip_norm=1.0, progress=False,
)  # fmt: skip
ax = result.plot()

# %%
# New pictures
# ------------
#
# The most probable caption is searched with a beam. A word is wrong where it has to be inserted, deleted or replaced.

source, _ = rd.data.pad(patches_of(test))
for width in (1, 5):
    found = model.decode(result.params, source, length=16, width=width)
    said = [vocabulary.decode(found.sequence(b)) for b in range(len(test.captions))]
    print(f"beam of {width}: {rd.training.error_rates(said, test.captions)}")

# %%
# What goes wrong? The words of the grammar, or the digits?

digit_words = set("zero one two three four five six seven eight nine".split())
for name, keep in (("digits", True), ("other words", False)):
    parts = [
        [[w for w in words if (w in digit_words) == keep] for words in group]
        for group in (said, test.captions)
    ]
    print(f"{name:12s} {rd.training.error_rates(*parts)}")

wrong = [b for b, (own, right) in enumerate(zip(said, test.captions, strict=True)) if own != right][:4]
fig, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for ax, b in zip(axes, wrong, strict=False):
    ax.imshow(test.pictures[b], cmap="Greys", vmin=0, vmax=1)
    ax.set_title("\n".join(" ".join(said[b]).split(" , ")), fontsize="small", color="C3")
    ax.set_axis_off()

# %%
# These are the captions in which something is wrong. The decoder sees the picture through its summary alone, in which
# all digits have to be kept until they are said.
plt.show()
