r"""
Attention, and where its gradient goes
======================================

A network reads a word and writes it backwards. An encoder turns the word into one vector for each letter. A decoder
writes letter after letter, starting from the last of these vectors. With attention [1]_ it also reads all of them at
every step, each with a weight. This page trains both, draws the weights, and asks which way the
gradient takes.
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

LETTERS, BEGIN, UNITS = 12, 12, 48


def words(
    rng: np.random.Generator, size: int, shortest: int = 3, longest: int = 10
) -> tuple[np.ndarray, ...]:
    """Words (S, B), the same backwards, and their lengths (B,)."""
    lengths = rng.integers(shortest, longest + 1, size)
    drawn = rng.integers(0, LETTERS, (longest, size))
    steps = np.arange(longest)[:, None]
    backwards = np.take_along_axis(drawn, np.maximum(lengths - 1 - steps, 0), axis=0)
    inside = steps < lengths
    return np.where(inside, drawn, 0), np.where(inside, backwards, 0), lengths


# %%
# Two decoders
# ------------
#
# ``rd.cells.attention`` puts attention on a cell. Here the score of a position is keys . U h, and the keys are the
# encoder's vectors, which are the values too. The decoder reads the letter that it should have written last.
encoder = rd.cells.gru()
plain = rd.cells.gru()
attending = rd.cells.attention(rd.cells.gru(), "general")
print("attending:", {name: a.shape for name, a in attending.init(LETTERS + 1, UNITS).items()})


class Network:
    """An encoder, a decoder that starts from its last state, and a readout."""

    def __init__(self, decoder: rd.cells.Cell) -> None:
        self.decoder, rng = decoder, np.random.default_rng(0)
        self.params = {
            "encoder": encoder.init(LETTERS, UNITS, rng),
            "decoder": decoder.init(LETTERS + 1, UNITS, rng),
            "readout": {"W": (rng.standard_normal((LETTERS, UNITS)) / UNITS**0.5).astype("float32")},
        }

    def runs(self, params: dict, source: np.ndarray, target: np.ndarray, lengths: np.ndarray) -> tuple:
        """The runs of encoder and decoder."""
        read = rd.forward(encoder, params["encoder"], source, lengths=lengths)
        before = np.vstack([np.full((1, target.shape[1]), BEGIN), target[:-1]])
        given = {}
        if self.decoder.memory:
            given = {"memory": {"keys": read.output, "values": read.output}, "memory_lengths": lengths}
        given["initial"] = {"h": read.final["h"]}
        return read, rd.forward(self.decoder, params["decoder"], before, lengths=lengths, **given)

    def logits(self, params: dict, written: rd.engine.Run) -> np.ndarray:
        """The readout of what the decoder gave."""
        return written.output @ params["readout"]["W"].T

    def into_encoder(self, read: rd.engine.Run, back: rd.engine.Gradients) -> rd.engine.Gradients:
        """The way back through the encoder, from its last state and from the memory."""
        d_memory = back.memory["keys"] + back.memory["values"] if self.decoder.memory else None
        return rd.backward(read, d_memory, d_final={"h": back.initial["h"]})

    def differentiate(self, source: np.ndarray, target: np.ndarray, lengths: np.ndarray) -> tuple:
        """Loss (nats a letter) and gradients."""
        read, written = self.runs(self.params, source, target, lengths)
        W = self.params["readout"]["W"]
        mask = np.arange(len(target))[:, None] < lengths
        loss, d_logits = rd.nn.cross_entropy(self.logits(self.params, written), target, mask)
        back = rd.backward(written, d_logits @ W)
        front = self.into_encoder(read, back)
        d_readout = np.einsum("tbv,tbh->vh", d_logits, written.output)
        return loss, {"encoder": front.params, "decoder": back.params, "readout": {"W": d_readout}}


# %%
# Training
# --------
#
# The gradient by the memory, ``back.memory``, goes on into the encoder. On the way we note how sharply the decoder with
# attention reads: the number of positions that its weights amount to, and how much what it reads responds to the query.
# That response is a covariance under the weights, see ``rd.dynamics.alignment``.
UPDATES, BATCH = 1200, 64
networks = {"with attention": Network(attending), "without": Network(plain)}
losses: dict[str, list[float]] = {name: [] for name in networks}
watched = words(np.random.default_rng(7), 64, 10, 10)
seen, effective, sensitivity = [], [], []
for name, network in networks.items():
    rng, optimizer = np.random.default_rng(1), rd.training.adam()
    state = optimizer.init(network.params)
    for update in range(UPDATES):
        loss, grads = network.differentiate(*words(rng, BATCH))
        losses[name].append(loss)
        grads, _ = rd.training.clip_by_global_norm(grads, 1.0)
        rate = 5e-3 * 0.5 * (1 + np.cos(np.pi * update / UPDATES))
        steps, state = optimizer.update(grads, state, network.params, rate)
        network.params = rd.training.apply_updates(network.params, steps)
        if name == "with attention" and update % 25 == 0:
            found = rd.dynamics.alignment(network.runs(network.params, *watched)[1])
            seen.append(update)
            effective.append(found.effective_positions.mean())
            sensitivity.append(found.sensitivity.mean())

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, course in losses.items():
    ax.plot(course, linewidth=0.7, label=name)
ax.axhline(np.log(LETTERS), color="grey", linestyle=":", label="guessing")
ax.set_xlabel("update")
ax.set_ylabel("loss (nats a letter)")
ax.set_yscale("log")
ax.legend(frameon=False)
for name, course in losses.items():
    print(f"{name}: {np.mean(course[-50:]):.3f} nats a letter at the end")

# %%
# Longer words are harder without attention: all letters have to fit in one vector of 48 numbers.
for length in (4, 7, 10):
    source, target, lengths = words(np.random.default_rng(2), 500, length, length)
    right = {}
    for name, network in networks.items():
        written = network.runs(network.params, source, target, lengths)[1]
        right[name] = (network.logits(network.params, written).argmax(axis=2) == target).mean()
    print(f"{length:2d} letters:", ", ".join(f"{100 * r:.1f} % right {name}" for name, r in right.items()))

# %%
# What it reads
# -------------
#
# ``run.attention`` has the weights. The decoder has learnt to go through the word from its end. It reads most letters
# at the position behind them: the encoder's state there holds the letter before too.
network = networks["with attention"]
source, target, lengths = watched
read, written = network.runs(network.params, *watched)
name_of = lambda letters: [chr(ord("a") + int(i)) for i in letters]
fresh = Network(attending)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, title, run in (
    (axes[0], "before the training", fresh.runs(fresh.params, *watched)[1]),
    (axes[1], "after it", written),
):
    rd.dynamics.alignment(run).plot(
        sequence=0, source=name_of(source[:, 0]), target=name_of(target[:, 0]), ax=ax
    )
    ax.set_title(title)
    ax.set_ylabel("letter to be written")

# %%
# How sharp it becomes
# --------------------
#
# At first all positions are read alike, and what is read hardly depends on the query, because the encoder's vectors are
# alike. The response is largest while the weights gather, and falls when they have: a softmax with all weight at one
# position would have no response at all.
fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
axes[0].plot(seen, effective)
axes[0].set_ylabel("effective positions (of 10)")
axes[1].plot(seen, sensitivity, color="C1")
axes[1].set_ylabel(r"response to the query, $\Vert\,dc / dq\,\Vert_F$")
for ax in axes:
    ax.set_xlabel("update")
print(f"effective positions: {effective[0]:.1f} at first, {effective[-1]:.1f} at the end")
peak = int(np.argmax(sensitivity))
print(
    f"response to the query: {sensitivity[0]:.3f} at first, {sensitivity[peak]:.3f} after {seen[peak]} updates, "
    f"{sensitivity[-1]:.3f} at the end"
)

# %%
# Which way the gradient takes
# ----------------------------
#
# Take the loss of one letter alone. By which of the encoder's states does it have a gradient? With attention the
# gradient enters the encoder at the positions that are read. Without attention it enters at the last state, and passes
# all steps between. The figure shows, for one word, the norm of the derivative of each letter's loss by each of the
# encoder's states. The word is there ten times, each time with the loss of another letter.
count = 10
one = slice(0, 1)
gradients = {}
for name, network in networks.items():
    many = [np.repeat(a[:, one], count, axis=1) for a in (source, target)]
    read, written = network.runs(network.params, *many, np.full(count, 10))
    p = np.exp(network.logits(network.params, written))
    d_logits = p / p.sum(axis=2, keepdims=True) - np.eye(LETTERS, dtype="float32")[many[1]]
    alone = np.eye(count, dtype="float32")[:, :, None]  # sequence k has the loss of letter k only
    back = rd.backward(written, (d_logits * alone) @ network.params["readout"]["W"])
    if network.decoder.memory:
        paths = rd.dynamics.attention_paths(written, (d_logits * alone) @ network.params["readout"]["W"])
    gradients[name] = np.linalg.norm(network.into_encoder(read, back).states["h"], axis=2).T

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, (name, norms) in zip(axes, gradients.items(), strict=True):
    shares = norms / norms.max(axis=1, keepdims=True)
    image = ax.imshow(shares, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    ax.set_title(name)
    ax.set_xlabel("state of the encoder after letter")
    ax.set_xticks(range(10), name_of(source[:, 0]))
    ax.set_yticks(range(10), name_of(target[:, 0]))
axes[0].set_ylabel("letter whose loss it is")
fig.colorbar(image, ax=axes, label="norm of the gradient, largest of a row = 1")
for name, norms in gradients.items():
    place = norms.argmax(axis=1)
    print(f"{name}: largest gradient at the states {', '.join(map(str, place + 1))}")

# %%
# Within the decoder a part of the gradient goes through the weights: an earlier state shapes a later query.
# ``attention_paths`` splits the gradient of the last letter's loss into that part and the rest. Both shrink from
# step to step backwards: what the last letter needs comes from the memory, not from earlier states.
norms = {
    "all paths": np.linalg.norm(paths.whole[:, -1], axis=-1),
    "through the weights": np.linalg.norm(paths.through_weights[:, -1], axis=-1),
}
ax = paths.plot(sequence=count - 1, ax=plt.subplots(figsize=(6, 3), layout="constrained")[1])
ax.set_xlabel("step of the decoder")
share = norms["through the weights"][:-1] / norms["all paths"][:-1]
print(
    f"through the weights: {100 * share.min():.0f} to {100 * share.max():.0f} % of the norm at the states before"
)
plt.show()

# %%
# .. [1] Bahdanau, Cho and Bengio, Neural machine translation by jointly learning to align and translate, ICLR 2015.
