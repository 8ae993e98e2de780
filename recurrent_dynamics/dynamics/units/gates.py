"""What the equations of a cell say about its gates: activations, and the direct path from a slot to itself.

Both replay the recorded equations of the cell on the numbers of a run, so they hold for every cell: nothing
here knows an LSTM from a GRU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import check
from ...engine.run import Run, Views
from ...equations.graph import Graph, Node
from ...results import Result
from .saturation import Saturation, saturation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Nonlinearities with a range, and the activations beyond which a unit is saturated (Karpathy et al. 2015).
THRESHOLDS: dict[str, tuple[float, float]] = {
    "sigmoid": (0.1, 0.9),
    "hard_sigmoid": (0.1, 0.9),
    "tanh": (-0.9, 0.9),
    "hard_tanh": (-0.9, 0.9),
    "softsign": (-0.9, 0.9),
}


@dataclass(frozen=True)
class Gate(Result):
    """A nonlinearity with a range inside the equations of a cell, and its activations during a run.

    Attributes
    ----------
    name
        Of the local variable in the equations, or else of the drive that enters the nonlinearity.
    kind
        The nonlinearity: "sigmoid", "tanh", ...
    values
        Shape (T, B, H), float64.
    """

    name: str
    kind: str
    values: np.ndarray

    @property
    def thresholds(self) -> tuple[float, float]:
        """The activations below the first and above the second of which a unit counts as saturated."""
        return THRESHOLDS[self.kind]

    def saturation(self) -> Saturation:
        """Saturated and dead units of the gate."""
        return saturation(self.values, self.thresholds, name=self.name)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the distribution of its activations; see `recurrent_dynamics.plot.gate`."""
        from ...plot import gate

        return gate(self, ax=ax, **options)


def gates(run: Run) -> list[Gate]:
    """The gates of a run: every nonlinearity with a range in the equations that depends on what the cell reads.

    A sigmoid, a tanh, or one of their piecewise linear forms.

    The new value of a slot itself is not one of them (it is in `run.states`), nor is one that does not depend
    on a drive, such as a learnt constant, nor one of every position of a memory, such as that of additive attention.

    Parameters
    ----------
    run
        What `rd.forward` returned.

    Returns
    -------
    list of Gate
        In the order of the equations.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.lstm()
    >>> run = rd.forward(cell, cell.init(2, 3, dtype="float64"), np.zeros((5, 1, 2)))
    >>> [(gate.name, gate.kind) for gate in gates(run)]
    [('i', 'sigmoid'), ('f', 'sigmoid'), ('o', 'sigmoid'), ('g', 'tanh'), ('tanh(c)', 'tanh')]
    """
    run = check.layer_run(run)
    schedule = run.cell.schedule
    graph, outputs = schedule.graph, schedule.outputs
    found = [
        index
        for index, node in enumerate(graph.nodes)
        if node.kind in THRESHOLDS
        and index not in outputs.values()
        and _parts(graph.nodes, index)
        and not _reads_memory(graph.nodes, index)
    ]
    values = graph.replay(found, leaf_values(run))
    shape = run.tape.after.shape[:2]
    named = [
        (_name(graph, outputs, index), graph.nodes[index].kind, v)
        for index, v in zip(found, values, strict=True)
    ]
    return [Gate(name, kind, np.broadcast_to(v, (*shape, v.shape[-1]))) for name, kind, v in named]


def states(run: Run) -> list[Saturation]:
    """Saturated and dead units of every slot of the state.

    A slot that left [-1, 1] during the run has no range: it can have dead units but no saturated ones.

    Parameters
    ----------
    run
        What `rd.forward` returned.

    Returns
    -------
    list of Saturation
        In the order of `cell.state`.
    """
    run = check.layer_run(run)
    found = []
    for slot, values in Views(run.tape.after, run.tape.layout.slots).items():
        bounded = bool(np.abs(values).max() <= 1)
        found.append(saturation(values, (-0.9, 0.9) if bounded else None, name=slot))
    return found


def direct_factors(run: Run) -> dict[str, np.ndarray]:
    """The derivative of each slot's new value by its old one, unit by unit, all matrix products held fixed.

    It is the forget gate for the cell state of an LSTM, the update gate for a GRU, alpha for a leaky network.
    The recorded equations are differentiated by complex step, which is exact to rounding.

    Parameters
    ----------
    run
        What `rd.forward` returned.

    Returns
    -------
    dict
        slot -> (T, B, H), float64; slots without a direct path are left out.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.lstm()
    >>> params = {name: 0 * value for name, value in cell.init(2, 3, dtype="float64").items()}
    >>> params["b"][3:6] = 1.0
    >>> run = rd.forward(cell, params, np.zeros((5, 1, 2)))
    >>> {slot: np.unique(f.round(12)).tolist() for slot, f in direct_factors(run).items()}
    {'c': [0.73105857863]}
    """
    run = check.layer_run(run)
    schedule = run.cell.schedule
    tiny = 1e-30
    found = {}
    after = Views(run.tape.after, run.tape.layout.slots)
    for slot, target in schedule.outputs.items():
        (value,) = schedule.graph.replay([target], leaf_values(run, perturbed=slot, by=1j * tiny))
        factor = np.broadcast_to(np.imag(value) / tiny, after[slot].shape)
        if factor.any():
            found[slot] = factor
    return found


def leaf_values(run: Run, perturbed: str = "", by: complex = 0.0) -> Callable[[int, Node], Any]:
    """The numbers of a run for the leaves of its cell's graph; one slot of the state may be perturbed."""
    tape, layout = run.tape, run.tape.layout
    known = {
        "preactivation": Views(run.host(run.values), layout.preactivations),
        "state": Views(tape.before, layout.slots),
        "signal": Views(tape.values, layout.signals),
        "param": Views(tape.vectors, layout.vectors),
        "constant": run.cell.constants,
    }

    def leaf(_: int, node: Node) -> Any:
        if node.kind not in known:
            return None
        value = np.asarray(known[node.kind][node.arguments[0]], dtype=np.float64)
        return value + by if node.kind == "state" and node.arguments[0] == perturbed else value

    return leaf


def _name(graph: Graph, outputs: dict[str, int], index: int) -> str:
    if index in graph.names:
        return str(graph.names[index])
    node = graph.nodes[index]
    (argument,) = node.arguments
    slots = {i: slot for slot, i in outputs.items()}
    if argument in slots:
        return f"{node.kind}({slots[argument]})"
    parts = _parts(graph.nodes, argument)
    return (
        next(iter(parts))
        if graph.nodes[argument].kind == "preactivation"
        else f"{node.kind}({', '.join(parts)})"
    )


def _parts(nodes: list[Node], index: int) -> dict[str, None]:
    """Names of the drives that a node depends on, in the order of the equations, each once."""
    node = nodes[index]
    if node.kind == "preactivation":
        return {node.arguments[0]: None}
    return {name: None for a in node.arguments if isinstance(a, int) for name in _parts(nodes, a)}


def _reads_memory(nodes: list[Node], index: int) -> bool:
    """Whether a node has a value for each position of a memory."""
    node = nodes[index]
    inner = (a for a in node.arguments if isinstance(a, int))
    return node.kind == "memory" or any(_reads_memory(nodes, a) for a in inner)
