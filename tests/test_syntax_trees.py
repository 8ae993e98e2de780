"""Syntax trees of Python source as forests."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.data.syntax_trees import kinds_of_nodes

SOURCE = """
def double(x):
    def inner(y):
        return y
    return inner(2 * x)

class Thing:
    async def method(self):
        pass
"""


def test_a_module_is_the_tree_that_its_parser_makes():
    text = inspect.getsource(inspect)
    trees = rd.data.syntax_trees({"inspect": text})
    forest = trees.forest
    nodes = [n for n in ast.walk(ast.parse(text)) if not isinstance(n, ast.expr_context)]
    assert forest.nodes == len(nodes)
    assert sorted(trees.labels(0)) == sorted(type(n).__name__ for n in nodes)
    assert trees.titles == ("inspect",)
    checked = 0
    for node in np.flatnonzero(trees.kinds == trees.names.index("IfExp")):
        assert len(forest.children(node)) == 3
        checked += 1
    assert checked > 3
    binary = trees.names.index("BinOp")
    for node in np.flatnonzero(trees.kinds == binary):
        operator = getattr(ast, trees.names[trees.kinds[forest.children(node)[1]]])
        assert issubclass(operator, ast.operator)


def test_each_outermost_function_is_a_tree():
    trees = rd.data.syntax_trees([SOURCE, "f = 1"], "function")
    assert trees.titles == ("sources[0]:double", "sources[0]:Thing.method")
    assert trees.labels(0).count("FunctionDef") == 2
    assert trees.labels(1) == ["AsyncFunctionDef", "arguments", "arg", "Pass"]
    assert trees.forest.children(0)[0] == 1
    small = rd.data.syntax_trees(SOURCE, "function", max_nodes=4)
    assert small.titles == ("sources:Thing.method",)


def test_kinds_are_those_that_a_parser_makes():
    names = kinds_of_nodes()
    assert {"Module", "FunctionDef", "BinOp", "Constant", "arg", "comprehension", "FormattedValue"} <= set(
        names
    )
    assert not {"Load", "Store", "Num", "Index", "expr", "stmt", "AST"} & set(names)
    assert list(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("def (",), Refusal("sources", "Python", "line 1")),
        (({"mine": "1 +"},), Refusal("sources['mine']", "Python", "line 1")),
        ((3,), wrong_type("sources", "texts", "int")),
        (([3],), wrong_type("sources[0]", "text", "int")),
        (("x = 1", "function"), Refusal("sources", "one function")),
        (("x = 1", "module", 2), Refusal("sources", "at most 2 nodes")),
        (("x = 1", "line"), Refusal("root", "function", "'line'")),
        (("x = 1", "module", 0), Refusal("max_nodes", "at least 1", "0")),
    ],
)
def test_wrong_sources_are_named(arguments, refusal):
    with refused(refusal):
        rd.data.syntax_trees(*arguments)


def test_a_part_of_a_forest_is_its_trees(rng):
    trees = rd.data.syntax_trees(SOURCE * 3, "function")
    part, nodes = trees.forest.part([3, 0])
    assert part.trees == 2
    first = trees.forest.of_tree(3)
    assert np.array_equal(nodes[: len(first)], first)
    cell = rd.trees.child_sum_lstm()
    params, n = cell.init(len(trees.names), 5), len(trees.names)
    assert n > 90
    whole = rd.trees.forward(cell, params, trees.forest, trees.kinds).output
    assert np.array_equal(rd.trees.forward(cell, params, part, trees.kinds[nodes]).output, whole[nodes])
    for wrong in ([], [6], [-1]):
        with refused(Refusal("trees", "0..5")):
            trees.forest.part(wrong)
    with refused(Refusal("trees", "differ")):
        trees.forest.part([1, 1])
