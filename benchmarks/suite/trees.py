"""Recursive networks: a child-sum Tree-LSTM over syntax trees of the standard library."""

from __future__ import annotations

import argparse
import inspect

import numpy as np

import recurrent_dynamics as rd


class ChildSum:
    """Float32, the functions of a module, 150 inputs and units."""

    timeout = 300
    warmup_time = 0.2

    def setup(self) -> None:
        self.source = inspect.getsource(argparse)
        self.trees = rd.data.syntax_trees(self.source, "function")
        self.forest = self.trees.forest
        self.cell = rd.trees.child_sum_lstm()
        self.params = self.cell.init(150, 150)
        self.x = np.random.default_rng(0).standard_normal((self.forest.nodes, 150)).astype("float32")
        self.d_output = np.zeros((self.forest.nodes, 150), "float32")
        self.d_output[self.forest.roots] = 1
        self.run = rd.trees.forward(self.cell, self.params, self.forest, self.x)

    def time_forward(self) -> None:
        rd.trees.forward(self.cell, self.params, self.forest, self.x)

    def time_forward_backward(self) -> None:
        rd.trees.backward(rd.trees.forward(self.cell, self.params, self.forest, self.x), self.d_output)

    def time_hvp(self) -> None:
        rd.trees.hvp(self.run, self.d_output, self.params, d_x=self.x)

    def time_levels(self) -> None:
        rd.trees.forest(self.forest.parents)

    def time_parse(self) -> None:
        rd.data.syntax_trees(self.source, "function")
