r"""
From one to many and back
=========================

A recurrent network reads a sequence, or writes one, or does both. That gives four shapes. We look at all of them with
one kind of data, the names of numbers: "seven hundred forty two". A network reads a name and tells one thing of it
(many to one), tells something of each letter (many to many), writes the name from a vector (one to many), and finds the
digits of a name (sequence to sequence). Each is a few lines, and is tested with numbers that it has not seen.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn

# %%
# Names of numbers
# ----------------
#
# The numbers below 1000 in random order; the last 200 are for the tests.

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()


def name(n: int) -> str:
    """In words."""
    if n >= 100:
        return f"{ONES[n // 100]} hundred{f' {name(n % 100)}' if n % 100 else ''}"
    return ONES[n] if n < 20 else TENS[n // 10] + (f" {ONES[n % 10]}" if n % 10 else "")


numbers = np.random.default_rng(0).permutation(1000)
letters = rd.data.TokenVocabulary.from_sequences(
    [list(name(n)) for n in numbers], begin="<begin>", end="<end>"
)
gru = nn.recurrent(rd.cells.gru(), 48)
reader = nn.chain(nn.embedding(len(letters.tokens), 12), nn.bidirectional(gru, gru))


def read(some: np.ndarray) -> dict[str, np.ndarray]:
    """The letters of names, padded, and how many there are."""
    return rd.data.collate({"name": [letters.encode(list(name(n))) for n in some]})


def trained(model, batch, updates: int = 150):
    """The parameters after a short training on one batch."""
    return rd.training.fit(
        model, model.init(rng=0), [batch], optimizer="adam", learning_rate=rd.training.cosine(0.01, updates),
        updates=updates, clip_norm=1.0,
    ).params  # fmt: skip


share = {}

# %%
# Many to one: is it odd?
# -----------------------
#
# A name is read from both ends. One readout looks at the mean over its letters.


def parities(some: np.ndarray) -> nn.Batch:
    """Names with one class each."""
    r = read(some)
    return nn.Batch(r["name"], some % 2, lengths=r["name_lengths"])


oddness = nn.Objective(nn.chain(reader, nn.dense(None, 2)), pool="mean")
params, test = trained(oddness, parities(numbers[:800]), 60), parities(numbers[800:])
told = oddness.predict(params, test.inputs, "class", lengths=test.lengths)
share["many to one"] = np.mean(told == test.targets)

# %%
# Many to many: what does each letter count?
# ------------------------------------------
#
# Each letter gets a class: it belongs to the hundreds (2), the tens (1) or the ones (0) of the number. What the first
# word counts is known only when the second one was read. The network has to read in both directions.


def places(n: int) -> list[int]:
    """The class of each letter."""
    words = name(n).split(" ")
    hundreds = words.index("hundred") + 1 if "hundred" in words else 0
    kinds = [2 if i < hundreds else 1 if word in TENS else 0 for i, word in enumerate(words)]
    return [kinds[name(n)[:i].count(" ")] for i in range(len(name(n)))]


def tags(some: np.ndarray) -> nn.Batch:
    """Names with a class for each letter."""
    r = rd.data.collate(
        {"name": [letters.encode(list(name(n))) for n in some], "place": [places(n) for n in some]}
    )
    return nn.Batch(r["name"], r["place"], lengths=r["name_lengths"])


tagger = nn.Objective(nn.chain(reader, nn.dense(None, 3)))
params, test = trained(tagger, tags(numbers[:800]), 60), tags(numbers[800:])
told = tagger.predict(params, test.inputs, "class", lengths=test.lengths)
share["many to many"] = np.mean(
    [np.array_equal(told[:n, b], test.targets[:n, b]) for b, n in enumerate(test.lengths)]
)
for b in range(2):
    print(f"{name(numbers[800 + b])}\n{''.join(map(str, told[: test.lengths[b], b]))}")

# %%
# One to many: write a name
# -------------------------
#
# A number comes as one vector: a 1 for each of its three digits, at the place of the digit. A decoder begins in a state
# that is made of the vector, and writes letter by letter.

letter = {"classes": len(letters.tokens), "begin": letters.indices["begin"], "end": letters.indices["end"]}


def vector(some: np.ndarray) -> np.ndarray:
    """(B, 30)."""
    digits = np.stack([some // 100, some // 10 % 10, some % 10], axis=1)
    return np.eye(10, dtype="float32")[digits].reshape(len(some), 30)


def written(some: np.ndarray) -> nn.Pairs:
    """Vectors with the letters of their names."""
    r = read(some)
    return nn.Pairs(vector(some), r["name"], target_lengths=r["name_lengths"])


writer = nn.encoder_decoder(nn.dense(30, 64), nn.recurrent(rd.cells.gru(), 64), **letter, every_step=True)
params = trained(writer, written(numbers[:800]), 250)
found = writer.decode(params, vector(numbers[800:]), length=40, width=3)
names = ["".join(letters.decode(found.sequence(b))) for b in range(200)]
share["one to many"] = np.mean([said == name(n) for said, n in zip(names, numbers[800:])])
for n, said in list(zip(numbers[800:], names))[:4]:
    print(n, said)

# %%
# Sequence to sequence, and back: find the digits
# -----------------------------------------------
#
# The encoder reads the letters of a name, and the decoder writes its digits. The two have different lengths, and no
# letter belongs to one digit. Attention reads the letters that count at each step.

cell = rd.cells.attention(rd.cells.gru(), values="96")
finder = nn.encoder_decoder(reader, nn.recurrent(cell, 48), classes=12, begin=10, end=11)


def digits(some: np.ndarray) -> nn.Pairs:
    """Names with their digits."""
    r = rd.data.collate(
        {
            "source": [letters.encode(list(name(n))) for n in some],
            "target": [[int(c) for c in str(n)] for n in some],
        }
    )
    return nn.Pairs(**r)


params, test = trained(finder, digits(numbers[:800])), digits(numbers[800:])
found = finder.decode(params, test.source, test.source_lengths, length=4, width=3)
right = [found.sequence(b).tolist() == [int(c) for c in str(n)] for b, n in enumerate(numbers[800:])]
share["sequence to sequence"] = np.mean(right)

longest = max(range(200), key=lambda b: len(name(numbers[800 + b])))
said = name(numbers[800 + longest])
run = finder.run(params, digits(numbers[800 + longest : 801 + longest]))
fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
ax.imshow(run.attention[:, 0], cmap="Greys", vmin=0, aspect="auto")
ax.set_xticks(range(len(said)), said)
ax.set_yticks(range(4), [*str(numbers[800 + longest]), "end"])
ax.set(xlabel="letter that is read", ylabel="digit that is written")
plt.show()

# %%
# The image shows what attention has read before each digit. The first digit comes from the state that the decoder
# begins with. The second and the third one are read where their words begin.
#
# All four
# --------
#
# The share of numbers that have no error at all:

for shape, part in share.items():
    print(f"{shape:21s} {part:.1%}")
