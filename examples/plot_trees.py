r"""
Trees: backpropagation through structure
========================================

The value of a formula such as :math:`(1 \wedge \neg 0) \rightarrow 0` does not come from its symbols in a row. It comes
from its structure: the value of each part is found first. A recursive network reads a formula in this order. The same
cell stands at every node of the tree. It computes the state of the node from its symbol and from the states of its
children. The gradient goes back along the same arcs, from the root to the leaves (Goller and Kuechler 1996 [1]_).
"""

import matplotlib.pyplot as plt
import numpy as np

import recurrent_dynamics as rd

SYMBOLS = ("0", "1", "not", "and", "xor", "implies")


def formulas(rng: np.random.Generator, count: int, height: int) -> tuple:
    """Random formulas of at most this height: a forest, the symbol of each node, and its value."""
    parents, symbols, values = [], [], []

    def grow(parent: int, left: int) -> int:
        node = len(parents)
        for numbers, number in ((parents, parent), (symbols, 0), (values, 0)):
            numbers.append(number)
        if left == 0 or rng.uniform() < 0.15:
            symbols[node] = values[node] = int(rng.integers(2))
        else:
            symbol = int(rng.integers(2, len(SYMBOLS)))
            a = grow(node, left - 1)
            b = grow(node, left - 1) if SYMBOLS[symbol] != "not" else 0
            symbols[node] = symbol
            values[node] = {"not": 1 - a, "and": a & b, "xor": a ^ b, "implies": (1 - a) | b}[SYMBOLS[symbol]]
        return values[node]

    for _ in range(count):
        grow(-1, height)
    return rd.trees.forest(parents), np.array(symbols), np.array(values)


rng = np.random.default_rng(0)
tree, symbols, values = formulas(np.random.default_rng(15), 1, 4)
ax = tree.plot(labels=[SYMBOLS[s] for s in symbols], values=values)
ax.set_title("A formula, and the value of each part")

# %%
# Training
# --------
#
# 60 batches of 100 formulas each, of heights 1 to 6. The network is told the value of the whole formula, at the root.
# It is not told the values of the parts. Three cells learn the task: a plain recursive network, a binary Tree-LSTM and
# a child-sum Tree-LSTM (Tai, Socher and Manning 2015 [2]_).
cells = {
    "plain": rd.trees.recursive(2),
    "binary Tree-LSTM": rd.trees.n_ary_lstm(2),
    "child-sum Tree-LSTM": rd.trees.child_sum_lstm(),
}
batches = [formulas(rng, 100, int(height)) for height in rng.integers(1, 7, 60)]
data = [((forest, s), v[forest.roots]) for forest, s, v in batches]
models, learnt = {}, {}
for name, cell in cells.items():
    models[name] = rd.nn.TreeModel(cell, hidden_size=24, output_size=2, vocabulary_size=len(SYMBOLS))
    learnt[name] = rd.training.fit(
        models[name], models[name].init(rng=0), data, optimizer="adam", learning_rate=0.01, updates=500,
        clip_norm=1.0, shuffle=0, progress=False,
    )  # fmt: skip

figure, ax = plt.subplots(layout="constrained")
for i, (name, result) in enumerate(learnt.items()):
    losses = rd.plot.smooth(result.history["loss"], 20)
    ax.semilogy(losses, color=rd.plot.colour(i), label=name)
ax.set(xlabel="update", ylabel="loss at the roots (nats)")
ax.legend(frameon=False)

# %%
# Places, or a sum
# ----------------
#
# New formulas of heights up to 8, taller than all that were learnt from. The readout is asked at every node, so the
# figure tells the accuracy by the height of the part. Cells that tell their children apart evaluate taller formulas
# than they have seen. The child-sum cell adds up what its children bring. So it cannot know which side of an
# implication is which. Its errors grow with the height, because each part has the errors of the parts below it.
test, s, v = formulas(rng, 300, 8)
figure, ax = plt.subplots(layout="constrained")
for i, name in enumerate(cells):
    reader = rd.nn.TreeModel(cells[name], 24, 2, vocabulary_size=len(SYMBOLS), where="nodes")
    right = reader.predict(learnt[name].params, (test, s), "class") == v
    accuracy = [right[test.level == height].mean() for height in range(test.depth)]
    ax.plot(accuracy, "o-" if i else "o--", color=rd.plot.colour(i), markersize=10 - 3 * i, label=name)
    print(f"{name}: {right[test.roots].mean():.0%} of the whole formulas are right")
ax.axvline(6, color="0.5", linewidth=0.8, linestyle="--", label="tallest in training")
ax.set(xlabel="height of the part (arcs)", ylabel="share of right values", ylim=(0.45, 1.02))
ax.legend(frameon=False)

# %%
# The gradient by depth
# ---------------------
#
# How much of the error at the root arrives at the leaves? ``gradient_by_depth`` gathers the norms of the gradients by
# the states of all nodes by their distance from the root. Below are the binary cells before and after training, on
# full formulas of height 8. A number below 1 is the factor by which the median shrinks with each arc. After training
# the whole gradient is small, because the loss is: what counts is the slope. Both cells lose about half of the gradient
# with each arc, before training and after it. Yet these trees have 511 nodes and only 8 arcs between a leaf and the
# root. Read as a sequence of 511 symbols, the same formula would have to carry its gradient over hundreds of steps.


def full(height: int) -> rd.trees.Forest:
    """A tree in which every node above the leaves has two children."""
    nodes = np.arange(2 ** (height + 1) - 1)
    return rd.trees.forest((nodes - 1) // 2)


tall = full(8)
inner = tall.level > 0
s = np.where(inner, rng.integers(3, 6, tall.nodes), rng.integers(0, 2, tall.nodes))
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, when in zip(axes, ("before training", "after training"), strict=True):
    for i, name in enumerate(("plain", "binary Tree-LSTM")):
        model = models[name]
        params = model.init(rng=0) if when == "before training" else learnt[name].params
        _, _, grads = model.differentiate(params, ((tall, s), np.array([1])))
        found = rd.trees.gradient_by_depth(grads.tree)
        found.plot(ax=ax, label=f"{name}: {found.factor:.2f} an arc", index=i)
    ax.set_title(when)

# %%
# Real trees
# ----------
#
# Syntax trees of programs are trees too. ``rd.data.syntax_trees`` parses Python source. Each function of a module is a
# tree here. The nodes of one height are computed together, those of all functions, so that a forest runs as fast as a
# batch of sequences.
source = """
def mean(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)
"""
trees = rd.data.syntax_trees(source, "function")
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
trees.plot(ax=ax)
plt.show()

# %%
# .. [1] Goller, Kuechler, "Learning task-dependent distributed representations by backpropagation through structure",
#        ICNN 1996.
# .. [2] Tai, Socher, Manning, "Improved semantic representations from tree-structured long short-term memory networks",
#        ACL 2015.
