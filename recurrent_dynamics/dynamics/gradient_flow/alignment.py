"""What a cell with attention reads, how sharply, and which way the gradient takes: through the weights or past them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...checks import ArgumentError
from ...engine import Run, backward, check
from ...engine.memories import rows_by_memory
from ...engine.run import Views, within_lengths
from ...equations.axes import SOURCE
from ...equations.graph import Node
from ...equations.schedule import LEAVES, OVER_POSITIONS, OVER_UNITS, SOFTMAX, Product
from ...results import Tabular

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP = 1e-30  # of a derivative by complex step


@dataclass(frozen=True)
class Alignment(Tabular):
    """The weights of attention at every step, and how they respond to the query.

    Attributes
    ----------
    weights : ndarray (T, B, S)
        How much of each position is read. They sum to 1 over the source of a sequence.
    effective_positions : ndarray (T, B)
        The exponential of the entropy of the weights: 1 where one position is read, the length of the source where
        all are read alike.
    sensitivity : ndarray (T, B)
        Frobenius norm of the Jacobian of what is read by the query. It is 0 where one position has all weight.
    """

    weights: np.ndarray
    effective_positions: np.ndarray
    sensitivity: np.ndarray

    def _columns(self) -> Mapping[str, Any]:
        return {
            "step": np.arange(len(self.weights)),
            "effective positions": self.effective_positions.mean(axis=1),
            "sensitivity": self.sensitivity.mean(axis=1),
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the weights of one sequence as an image; see `recurrent_dynamics.plot.alignment`."""
        from ...plot import alignment

        return alignment(self, ax=ax, **options)


@dataclass(frozen=True)
class AttentionPaths(Tabular):
    """The gradient by the output slot of every step, along all paths and along those that leave the weights alone.

    Attributes
    ----------
    slot : str
        The slot of the state that it is by.
    whole : ndarray (T, B, width)
        Along all paths that start at the state after each step.
    past_weights : ndarray (T, B, width)
        Along the paths on which the weights of attention count as constants.
    """

    slot: str
    whole: np.ndarray
    past_weights: np.ndarray

    @property
    def through_weights(self) -> np.ndarray:
        """The difference: the part of all paths that pass a softmax, shape (T, B, width)."""
        return self.whole - self.past_weights

    def _columns(self) -> Mapping[str, Any]:
        parts = {"whole": self.whole, "past": self.past_weights, "through": self.through_weights}
        norms = {name: np.linalg.norm(v, axis=-1).mean(axis=1) for name, v in parts.items()}
        return {"step": np.arange(len(self.whole))} | norms

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norms of the parts over the steps; see `recurrent_dynamics.plot.attention_paths`."""
        from ...plot import attention_paths

        return attention_paths(self, ax=ax, **options)


def alignment(run: Run) -> Alignment:
    """Take the attention of a run apart.

    What is read, c = sum_s a_s v_s with a = softmax(e(q)), has by the query q the Jacobian [1]_

        dc / dq = sum_s a_s (v_s - c) (g_s - mean of g)^T,  g_s = d e_s / d q,

    a covariance under the weights, of the values with the derivatives of the scores. It vanishes as all weight goes to
    one position: attention that is sure of its position has no gradient by which to move.

    Parameters
    ----------
    run
        A run of a cell with one softmax over the positions of its memory, such as `recurrent_dynamics.cells.attention`
        makes; the softmax is of one sum over units.

    Returns
    -------
    Alignment
        Beyond the length of a sequence all is 0.

    Raises
    ------
    ValueError, TypeError
        The run is none of such a cell, or has no tape.

    References
    ----------
    .. [1] Bahdanau, Cho and Bengio, Neural machine translation by jointly learning to align and translate, ICLR 2015,
       has the equations that this is the derivative of.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.attention(rd.cells.gru(), "general")
    >>> memory = {name: np.ones((4, 1, 3), "float32") for name in ("keys", "values")}
    >>> run = rd.forward(cell, cell.init(2, 3), np.ones((5, 1, 2), "float32"), memory=memory)
    >>> found = rd.dynamics.alignment(run)
    >>> print(found.effective_positions[0, 0].round(3), found.sensitivity[0, 0])
    4.0 0.0
    """
    run = check.layer_run(run)
    reads = _reads_of(run)
    weights = np.asarray(next(iter(run.alignments.values())), np.float64)
    weights = weights[:, None] if run.single else weights
    tape = run.tape
    within = np.ones(weights.shape[:2], bool)
    if tape.lengths.size:
        within = within_lengths(tape.steps, tape.lengths)
    point = _Point(run)
    squares = np.zeros(within.shape)
    for t in range(tape.steps):
        a = weights[t].T[..., None]  # (S, B, 1)
        values = point.values_read(t, reads)
        x = np.sqrt(a) * (values - (a * values).sum(axis=0))
        for part in point.derivatives_of_score(t, reads):
            y = np.sqrt(a) * (part - (a * part).sum(axis=0))
            # |X^T Y|^2 = <X X^T, Y Y^T>
            squares[t] += np.einsum("sbv,rbv,sbh,rbh->b", x, x, y, y, optimize=True)
    entropy = -np.sum(weights * np.log(np.where(weights > 0, weights, 1)), axis=-1)
    used = within & (weights.sum(axis=-1) > 0)
    sensitivity = np.sqrt(np.maximum(squares, 0)) * used
    effective = np.where(used, np.exp(entropy), 0)
    return Alignment(weights, effective, sensitivity)


def attention_paths(run: Run, d_output: np.ndarray) -> AttentionPaths:
    """Split the gradient by the output of each step into what passes the weights of attention and what does not.

    Parameters
    ----------
    run
        A run of a cell with attention.
    d_output : ndarray (T, B, H)
        The loss's derivative by the output, in the dtype of the run.

    Returns
    -------
    AttentionPaths

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.attention(rd.cells.gru())
    >>> memory = {name: np.ones((4, 1, 3), "float32") for name in ("keys", "values")}
    >>> run = rd.forward(cell, cell.init(2, 3), np.ones((5, 1, 2), "float32"), memory=memory)
    >>> paths = rd.dynamics.attention_paths(run, np.ones_like(run.output))
    >>> bool(abs(paths.through_weights).max() < 1e-6)  # values that are all alike are read alike
    True
    """
    run = check.layer_run(run)
    _softmaxes(run)
    slot = run.cell.output or ""
    whole = backward(run, d_output).states[slot]
    past = backward(_with_constant_weights(run), d_output).states[slot]
    return AttentionPaths(slot, *(v[:, None] if run.single else v for v in (whole, past)))


def _with_constant_weights(run: Run) -> Run:
    """The run with weights of 0 on its tape: a softmax passes on cotangents in proportion to its weights."""
    tape = run.tape
    values = tape.values.copy()
    for read in tape.layout.reads:
        if read.kind == SOFTMAX:
            values[..., read.target.offset : read.target.offset + read.target.width] = 0
    constant = replace(tape, values=values)
    return Run(constant, dict(run.params), run.single, run.autonomous, run.shared_signals, run.classes)


class _Reads(NamedTuple):
    """The score, the softmax of it, and the sum that reads the memory with its weights."""

    score: Product
    softmax: Product
    reading: Product


def _softmaxes(run: Run) -> list[Product]:
    found = [p for p in run.cell.schedule.reads if p.kind == SOFTMAX]
    if not found:
        raise ArgumentError("run", "be of a cell with a softmax over a memory", f"one of {run.cell!r}")
    return found


def _reads_of(run: Run) -> _Reads:
    reads, nodes, softmax = run.cell.schedule.reads, run.cell.schedule.graph.nodes, _softmaxes(run)
    source = nodes[softmax[0].operand[0]].arguments
    scores = [p for p in reads if p.kind == OVER_UNITS and source == (p.target,)]
    reading = [
        p
        for p in reads
        if p.kind == OVER_POSITIONS and any(nodes[i].arguments == (softmax[0].target,) for i in p.operand)
    ]
    if not len(softmax) == len(scores) == len(reading) == 1:
        raise ArgumentError(
            "run",
            "be of a cell with one softmax, of one sum over units, that is read once",
            f"one of {run.cell!r}",
        )
    return _Reads(scores[0], softmax[0], reading[0])


class _Point:
    """The values of a run's steps, on which the equations of its reads are computed again."""

    def __init__(self, run: Run) -> None:
        self._run, tape = run, run.tape
        self._graph = run.cell.schedule.graph
        self._memory = rows_by_memory(tape)
        self._values = Views(run.values, tape.layout.values)
        self._vectors = Views(tape.vectors, tape.layout.vectors)
        self._slots = Views(tape.before, tape.layout.slots)
        ends = tape.places.reshape(-1, 3)[:, 1]
        self._within = (np.arange(tape.layout.source_size)[:, None] < ends)[..., None]

    def _leaf(self, t: int, node: Node) -> Any:
        """The value of a leaf at a step: (B, units), (S, B, 1) or (S, B, units); None for what is computed."""
        if node.kind not in LEAVES:
            return None
        name = node.arguments[0]
        if node.kind == "memory":
            return self._memory[name]
        if node.kind == "constant":
            return self._run.cell.constants[name]
        if node.kind == "param":
            return np.asarray(self._vectors[name], np.float64)
        value = np.asarray((self._slots if node.kind == "state" else self._values)[name][t], np.float64)
        return value.T[..., None] if node.width == SOURCE else value

    def derivative(self, t: int, product: Product, by: int) -> np.ndarray:
        """d (the value that a contraction sums) / d (an operand, of the same position and unit): (S, B, units)."""

        def leaf(index: int, node: Node) -> Any:
            if index != by:
                return self._leaf(t, node)
            return self._graph.replay([by], lambda _, node: self._leaf(t, node))[0] + 1j * STEP

        value = self._graph.replay([product.value or 0], leaf)[0]
        shape = np.broadcast_shapes(np.shape(value), self._within.shape)
        return np.where(self._within, np.broadcast_to(np.imag(value), shape) / STEP, 0)

    def values_read(self, t: int, reads: _Reads) -> np.ndarray:
        """v_s: the derivative of what is read by the weight of each position."""
        nodes = self._graph.nodes
        weights = next(i for i in reads.reading.operand if nodes[i].arguments == (reads.softmax.target,))
        return self.derivative(t, reads.reading, weights)

    def derivatives_of_score(self, t: int, reads: _Reads) -> list[np.ndarray]:
        """g_s for every operand of the score that is no parameter, signal or constant, each (S, B, units)."""
        fixed = ("param", "signal", "constant")
        operands = [i for i in reads.score.operand if self._graph.nodes[i].kind not in fixed]
        return [self.derivative(t, reads.score, i) for i in operands]
