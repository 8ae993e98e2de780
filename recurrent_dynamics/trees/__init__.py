"""Recursive networks over trees, and recurrences over any graph whose arcs lead forward.

A node takes the place of a step: its state comes from its input and the states of its children. Nodes of one height are
computed together.

>>> import numpy as np
>>> import recurrent_dynamics as rd
>>> cell = rd.trees.child_sum_lstm()
>>> tree = rd.trees.from_nested(((), ((), ())))
>>> run = rd.trees.forward(cell, cell.init(input_size=3, hidden_size=4), tree, np.ones((5, 3), "float32"))
>>> grads = rd.trees.backward(run, np.ones_like(run.output))
>>> grads.states["c"].shape
(5, 4)
"""

from .cells import TreeCell, child_sum, n_ary
from .depth import ByDepth, gradient_by_depth, jacobian_by_depth
from .forest import Forest, Graph
from .library import child_sum_lstm, n_ary_lstm, recursive
from .making import forest, from_children, from_nested, skip_connections
from .run import TreeGradients, TreeRun, TreeTangent
from .running import forward
from .verbs import backward, hvp, jacobian, jvp

__all__ = [
    "ByDepth", "Forest", "Graph", "TreeCell", "TreeGradients", "TreeRun", "TreeTangent", "backward", "child_sum",
    "child_sum_lstm", "forest", "forward", "from_children", "from_nested", "gradient_by_depth", "hvp", "jacobian",
    "jacobian_by_depth", "jvp", "n_ary", "n_ary_lstm", "recursive",
    "skip_connections",
]  # fmt: skip
