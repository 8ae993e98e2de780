r"""
Questions about pictures
========================

A network looks at a picture, reads a question about it, and answers with one word: two readings, one answer. The
pictures are no photographs, and nobody asked these questions. Each picture has four fields, two to four of them hold a
handwritten digit of 8 by 8 pixels. Three kinds of questions are made by a grammar of a few rules. What is asked for is
still what such a network has to learn: to find the part of the picture that a question is about.

The digits come with scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

# %%
# Pictures and questions
# ----------------------
#
# The images of digits are parted first, so that no image of a test picture is known from the training.

images, labels = rd.data.digits()
known, new = rd.data.partition(len(labels), (0.8, 0.2), seed=0, labels=labels)
training = rd.data.digit_scenes(images[known], labels[known], 8000, rng=0)
test = rd.data.digit_scenes(images[new], labels[new], 500, rng=1)
asked, asked_test = rd.data.scene_questions(training, rng=2), rd.data.scene_questions(test, rng=3)
words = rd.data.TokenVocabulary.from_sequences(asked.questions)
answers = rd.data.TokenVocabulary.from_sequences([[answer] for answer in asked.answers])
print(f"{len(asked.answers)} questions to train on, {len(words)} words, {len(answers)} answers")

fig, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for k, ax in enumerate(axes):
    ax.imshow(test.pictures[k], cmap="Greys", vmin=0, vmax=1)
    ax.set_title(f"{' '.join(asked_test.questions[5 * k])}\n{asked_test.answers[5 * k]}", fontsize="small")
    ax.set_axis_off()

# %%
# Features
# --------
#
# Networks that answer questions about photographs read features of a network that was trained to name things. So it is
# done here: a layer of 64 units learns to name single digits. What the units say of a field are its features. Four more
# numbers tell which of the fields it is. A recurrent layer that takes one step is a layer of a plain network.

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
# Three networks
# --------------
#
# One reads the question alone: what it reaches says how far one gets without the picture. The second reads the four
# fields, then the question from the state that is left of the picture. The third begins in the same way and attends: at
# every word it reads the fields again, with weights that depend on the words so far [1]_.

gru, units = rd.nn.recurrent(rd.cells.gru(), 48, input_size=68), 96
looking = rd.nn.bidirectional(gru, gru)
attending = rd.cells.attention(rd.cells.gru(), keys="64", values="96")


def reading(cell: rd.cells.Cell) -> rd.nn.Layer:
    """A layer that reads the words of a question and says an answer."""
    return rd.nn.chain(
        rd.nn.embedding(len(words), 32), rd.nn.recurrent(cell, units), rd.nn.dense(None, len(answers))
    )


models = {
    "question alone": rd.nn.TwoReadings(rd.nn.dense(1, 1), reading(rd.cells.gru())),
    "two readings": rd.nn.TwoReadings(looking, reading(rd.cells.gru())),
    "two readings, attention": rd.nn.TwoReadings(looking, reading(attending)),
}


def of_questions(questions: rd.data.Questions, seen: np.ndarray) -> rd.data.NamedBatches:
    """Batches of features, words and answers."""
    return rd.data.NamedBatches(
        {
            "source": [seen[:, scene] for scene in questions.scenes],
            "inputs": [words.encode(question) for question in questions.questions],
        },
        {"targets": np.concatenate([answers.encode([answer]) for answer in questions.answers])},
        batch_size=128,
        seed=0,
    )


seen = features(training)
updates, results = 1000, {}
ax = plt.subplots(figsize=(6, 3), layout="constrained")[1]
for name, model in models.items():
    blind = name == "question alone"
    data = of_questions(asked, np.zeros((1, len(training.digits), 1), "float32") if blind else seen)
    count = 200 if blind else updates
    results[name] = rd.training.fit(
        model, model.init(rng=0), data, optimizer="adam", learning_rate=rd.training.cosine(4e-3, count),
        updates=count, clip_norm=1.0, progress=False,
    )  # fmt: skip
    ax.plot(rd.plot.smooth(results[name].history["loss"], 20), label=name)
ax.set_xlabel("update")
ax.set_ylabel("loss (nats an answer)")
ax.set_yscale("log")
ax.legend(frameon=False)

# %%
# Answers about new pictures
# --------------------------
#
# Beside the three networks stands the most frequent answer to each kind of question. A network that counts the digits,
# which needs no more than to tell ink from paper, and otherwise says the most frequent answer, gets what is called
# "counting alone".

KINDS = {"how": "how many", "what": "what is at", "is": "is there"}
kinds, kinds_known = (np.array([KINDS[q[0]] for q in part.questions]) for part in (asked_test, asked))
source, test_targets = features(test)[:, asked_test.scenes], np.array(asked_test.answers)
questions, lengths = rd.data.pad([words.encode(q) for q in asked_test.questions])
frequent = {}
for kind in KINDS.values():
    said, times = np.unique(np.array(asked.answers)[kinds_known == kind], return_counts=True)
    frequent[kind] = said[times.argmax()]
guessed = np.array([frequent[kind] for kind in kinds])
given = {
    "most frequent answer": guessed,
    "counting alone": np.where(kinds == "how many", test_targets, guessed),
}
for name, model in models.items():
    read = np.zeros((1, len(kinds), 1), "float32") if name == "question alone" else source
    found = model.predict(results[name].params, read, questions, "class", inputs_lengths=lengths)
    given[name] = np.array([answers.decode([int(c)])[0] for c in found])
shares = {
    name: [100 * (own == test_targets)[kinds == kind].mean() for kind in KINDS.values()]
    for name, own in given.items()
}
print(f"{'right (%)':26s}{'all':>8s}" + "".join(f"{kind:>12s}" for kind in KINDS.values()))
for name, own in given.items():
    print(
        f"{name:26s}{100 * (own == test_targets).mean():8.1f}" + "".join(f"{s:12.1f}" for s in shares[name])
    )

ax = plt.subplots(figsize=(7, 3), layout="constrained")[1]
for k, (name, share) in enumerate(shares.items()):
    ax.bar(np.arange(3) + 0.16 * (k - 2), share, 0.15, label=name)
ax.set_xticks(range(3), KINDS.values())
ax.set_ylabel("right answers (%)")
ax.set_ylim(0, 150)
ax.set_yticks(range(0, 101, 20))
ax.legend(frameon=False, fontsize="small", ncols=2)

# %%
# Where it looks
# --------------
#
# The weights of the network with attention, as it reads a question word by word: the fields that it reads are coloured.

model, params = models["two readings, attention"], results["two readings, attention"].params
chosen = [next(i for i in range(8, len(kinds)) if kinds[i] == kind) for kind in ("what is at", "is there")]
run = model.run(
    params, {"source": source[:, chosen], "inputs": questions[:, chosen], "inputs_lengths": lengths[chosen]}
)
for k, i in enumerate(chosen):
    drawn = rd.plot.attended_picture(
        run.attention[: lengths[i], k], test.pictures[asked_test.scenes[i]], asked_test.questions[i]
    )
    drawn[-1].set_title(f"?  {given['two readings, attention'][i]}", fontsize="small")
plt.show()

# %%
# The question names a field. How much of the weight is there when the last word, "?", is read?

places = ["top left", "top right", "bottom left", "bottom right"]
there = np.flatnonzero(kinds == "what is at")
field = np.array([places.index(" ".join(asked_test.questions[i][4:6])) for i in there])
run = model.run(
    params, {"source": source[:, there], "inputs": questions[:, there], "inputs_lengths": lengths[there]}
)
weights = run.attention[lengths[there] - 1, np.arange(len(there))]
at_field = weights[np.arange(len(there)), field]
print(
    f"weight at the field that is asked for: {at_field.mean():.2f} in the mean; all fields alike would have 0.25"
)

# %%
# The network without attention knows the picture by one vector, which is made before anything is asked. This vector
# tells which digits are there, but mostly not at which place: four digits and their places would have to be in it.
# Attention lets the question choose the place.

# %%
# .. [1] Rocktäschel et al., Reasoning about entailment with neural attention, ICLR 2016; Hermann et al., Teaching
#    machines to read and comprehend, NIPS 2015.
