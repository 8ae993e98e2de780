"""Syntax trees of Python source as forests, for networks over trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, integer, one_of
from ..results import Result
from ..trees import Forest, forest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOTS = ("module", "function")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Classes of `ast` that no parser makes any more.
_OLD = {
    "AugLoad",
    "AugStore",
    "Bytes",
    "Ellipsis",
    "ExtSlice",
    "Index",
    "NameConstant",
    "Num",
    "Param",
    "Str",
    "Suite",
}


@dataclass(frozen=True, eq=False)
class SyntaxTrees(Result):
    """Syntax trees with the kind of each node.

    Attributes
    ----------
    forest : Forest
        Its trees, as the parser orders the children.
    kinds : ndarray (nodes,) of int
        The kind of each node, an index into `names`: class indices for the input of a tree.
    names : tuple of str
        The kinds of nodes that the parser of this Python makes, such as "BinOp", sorted.
    titles : tuple of str
        What each tree is: the name of its source, and of its function behind a colon.
    """

    forest: Forest
    kinds: np.ndarray
    names: tuple[str, ...]
    titles: tuple[str, ...]

    def labels(self, tree: int) -> list[str]:
        """The kind of each node of one tree."""
        return [self.names[k] for k in self.kinds[self.forest.of_tree(tree)]]

    def plot(self, ax: Axes | None = None, *, tree: int = 0, **options: Any) -> Axes:
        """Draw one tree with the kinds of its nodes; see `recurrent_dynamics.plot.graph`."""
        part, nodes = self.forest.part([tree])
        labels = [self.names[k] for k in self.kinds[nodes]]
        return part.plot(ax=ax, labels=labels, **options)


@lru_cache(maxsize=1)
def kinds_of_nodes() -> tuple[str, ...]:
    """The kinds of nodes that the parser makes, sorted; without contexts such as Load, which say where a name stands.

    Examples
    --------
    >>> kinds_of_nodes()[:3]
    ('Add', 'And', 'AnnAssign')
    """
    found: set[str] = set()
    todo: list[type] = [ast.AST]
    while todo:
        kind = todo.pop()
        below: list[type] = kind.__subclasses__()
        todo += below
        made = kind.__module__ in ("ast", "_ast") and not issubclass(kind, ast.expr_context)
        if made and not [k for k in below if k.__name__ not in _OLD]:
            found.add(kind.__name__)
    return tuple(sorted(found - _OLD))


def syntax_trees(
    sources: str | Mapping[str, str] | Sequence[str], root: str = "module", max_nodes: int | None = None
) -> SyntaxTrees:
    """Parse Python source into a forest.

    Parameters
    ----------
    sources : str, or dict of str, or sequence of str
        Source texts; of a dict the keys are their names.
    root : {"module", "function"}
        Whether a tree is a whole text or a function or method. A function inside of another one belongs to its tree.
    max_nodes : int, optional
        Larger trees are left out.

    Returns
    -------
    SyntaxTrees

    Raises
    ------
    ValueError, TypeError
        For a text that is no Python of the running version (names the text and the line), or no tree at all.

    Examples
    --------
    >>> trees = syntax_trees("x = 1 + 2")
    >>> trees.labels(0)
    ['Module', 'Assign', 'Name', 'BinOp', 'Constant', 'Add', 'Constant']
    """
    one_of("root", root, ROOTS)
    most = None if max_nodes is None else integer("max_nodes", max_nodes, at_least=1)
    parents: list[np.ndarray] = []
    kinds: list[np.ndarray] = []
    titles: list[str] = []
    numbers = {name: i for i, name in enumerate(kinds_of_nodes())}
    for spelled, name, text in _named(sources):
        try:
            parsed = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            raise ArgumentError(spelled, "be Python source", error) from None
        found = [("", parsed)] if root == "module" else _functions(parsed)
        for title, top in found:
            of_tree, nodes = _numbered(top)
            if most is None or len(nodes) <= most:
                parents.append(of_tree)
                kinds.append(np.array([numbers[type(node).__name__] for node in nodes]))
                titles.append(f"{name}:{title}" if title else name)
    if not parents:
        what = "function" if root == "function" else "source"
        raise ArgumentError("sources", f"have at least one {what} of at most {most} nodes" if most else
                            f"have at least one {what}", "none")  # fmt: skip
    return SyntaxTrees(forest(parents), np.concatenate(kinds), kinds_of_nodes(), tuple(titles))


def _named(sources: Any) -> Iterator[tuple[str, str, str]]:
    """How an error calls each text, its name, and the text."""
    if isinstance(sources, str):
        named = [("sources", "sources", sources)]
    elif isinstance(sources, Sequence):
        named = [(f"sources[{i}]", f"sources[{i}]", text) for i, text in enumerate(sources)]
    elif isinstance(sources, Mapping):
        named = [(f"sources[{name!r}]", str(name), text) for name, text in sources.items()]
    else:
        raise ArgumentTypeError("sources", "be a text, or texts in a dict or a list", type(sources).__name__)
    for spelled, name, text in named:
        if not isinstance(text, str):
            raise ArgumentTypeError(spelled, "be a text", type(text).__name__)
        yield spelled, name, text


def _functions(parsed: ast.AST) -> list[tuple[str, ast.AST]]:
    """The outermost functions and the methods, with their qualified names, in the order of the text."""
    found: list[tuple[str, ast.AST]] = []
    todo: list[tuple[str, ast.AST]] = [("", parsed)]
    while todo:
        above, node = todo.pop()
        if isinstance(node, FUNCTIONS):
            found.append((f"{above}{node.name}", node))
            continue
        prefix = f"{above}{node.name}." if isinstance(node, ast.ClassDef) else above
        todo += [(prefix, child) for child in reversed(list(ast.iter_child_nodes(node)))]
    return found


def _numbered(top: ast.AST) -> tuple[np.ndarray, list[ast.AST]]:
    """(parent of each node, the nodes), a node before what is below it."""
    parents: list[int] = []
    nodes: list[ast.AST] = []
    todo: list[tuple[int, ast.AST]] = [(-1, top)]
    while todo:
        parent, node = todo.pop()
        if isinstance(node, ast.expr_context):
            continue
        number = len(nodes)
        parents.append(parent)
        nodes.append(node)
        todo += [(number, child) for child in reversed(list(ast.iter_child_nodes(node)))]
    return np.array(parents), nodes
