"""Attention inside the step: any cell that reads a memory at every step."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..checks import ArgumentError, ArgumentTypeError, boolean, integer, one_of
from ..equations.axes import SOURCE
from ..equations.memory import over_positions, over_units, scan, shift, softmax
from ..equations.nonlinearities import sigmoid, tanh
from ..equations.record import arguments_of
from ..equations.schedule import HIDDEN
from .cell import Cell
from .declarations import DENSE, Drive, Memory, Slot, Unit
from .lstm import lstm
from .mistaken import what_came
from .recipe import remembered

SCORES = ("additive", "dot", "general")
QUERIES = ("before", "after")
WEIGHTS = ("softmax", "monotonic")


@remembered()
def attention(
    cell: Cell | None = None,
    score: str | Callable[[Any, Any], Any] = "additive",
    query: str = "before",
    input_feeding: bool = True,
    keys: str = HIDDEN,
    values: str = HIDDEN,
    location: int = 0,
    coverage: bool = False,
    weights: str = "softmax",
    alignment: bool = False,
) -> Cell:
    """A cell that reads a memory with attention at every step.

    With ``query="before"`` (Bahdanau et al. 2015) the output before the step asks, and what is read, the slot
    "context", enters the step beside the input: every drive with an input gets a further block of U for it. With
    ``query="after"`` (Luong et al. 2015) the new output asks, and the output of the cell is the slot
    "attended", tanh(U_attended [context; output]).

    The memory has the arrays "keys" (S, B, keys), which are compared with the query, and "values" (S, B, values),
    which are read; see `recurrent_dynamics.forward`. Keys are usually a linear map of what an encoder gave, values
    that itself. A run has the weights as `Run.attention`.

    Parameters
    ----------
    cell
        The cell that decodes, an LSTM by default. Its drives are dense and not normalized.
    score
        "additive", v . tanh(keys + U_query h + b); "dot", keys . h; "general", keys . U_query h; or a function of the
        keys and of the query h that gives a number a position, such as
        ``lambda keys, query: over_units(keys * query)``.
    query
        "before" or "after" the step.
    input_feeding
        With ``query="after"``: whether the slot "attended" enters the next step beside the input.
    keys, values
        Their widths: "hidden" for as many as there are units, or a fixed number as text, such as "32".
    location
        With the additive score: so many positions to each side from which the weights of the step before enter the
        score of a position, by the parameters "location_0", "location_1", ... (Chorowski et al. 2015).
    coverage
        With the additive score: whether the sum of all weights before, the slot "coverage", enters the score of a
        position, by the parameter "covered" (See et al. 2017).
    weights
        "softmax", or "monotonic": each step goes on from where the one before it stopped, and stops at a position with
        probability sigmoid(score); the weights are the probabilities (Raffel et al. 2017, in expectation).
    alignment
        Whether the weights are a slot of the state, "alignment". A loss may then be of them, by `d_states`: of a
        pointer network (Vinyals et al. 2015), or of alignments that are known. It is one with `location` and with
        monotonic weights in any case.

    Returns
    -------
    Cell

    Raises
    ------
    ValueError, TypeError
        The cell has structured, tied, normalized or parametrized drives, or an argument is none of those above.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.attention(rd.cells.lstm(), values="6")
    >>> params = cell.init(input_size=2, hidden_size=3)
    >>> {name: value.shape for name, value in params.items()}
    {'W': (12, 2), 'U_query': (3, 3), 'U': (12, 9), 'b': (15,), 'v': (3,)}
    >>> memory = {"keys": np.ones((5, 1, 3), "float32"), "values": np.ones((5, 1, 6), "float32")}
    >>> run = rd.forward(cell, params, np.ones((4, 1, 2), "float32"), memory=memory, memory_lengths=[2])
    >>> run.attention[0, 0]
    array([0.5, 0.5, 0. , 0. , 0. ], dtype=float32)
    """
    base = lstm() if cell is None else cell
    _check(base, score, query, location, weights)
    for name, width in (("keys", keys), ("values", values)):
        _check_width(name, width)
    before, additive = query == "before", score == "additive"
    fed = boolean("input_feeding", input_feeding)
    if before and not fed:
        expected = "be True with query='before', where what is read enters the step"
        raise ArgumentError("input_feeding", expected, input_feeding)
    coverage, monotonic = boolean("coverage", coverage), weights == "monotonic"
    kept = boolean("alignment", alignment) or location > 0 or monotonic
    if not additive and (location or coverage):
        raise ArgumentError("score", "be 'additive' with location or coverage", repr(score))
    output = next(s for s in base.slots if s.name == base.output)
    if score == "dot":
        keys = output.width if keys == HIDDEN else keys

    def energy(drive: Any, state: Any, param: Any, memory: Any, asking: Any) -> Any:
        if callable(score):
            return score(memory.keys, asking)
        if score == "dot":
            return over_units(memory.keys * asking)
        if score == "general":
            return over_units(memory.keys * drive.query(asking))
        inner = memory.keys + drive.query(asking)
        for d in range(-location, location + 1) if location else ():
            inner = inner + getattr(param, f"location_{d + location}") * shift(state.alignment, d)
        if coverage:
            inner = inner + param.covered * state.coverage
        return over_units(param.v * tanh(inner))

    def read(drive: Any, state: Any, param: Any, memory: Any, asking: Any) -> tuple[Any, dict[str, Any]]:
        e = energy(drive, state, param, memory, asking)
        a = _monotonic(e, state) if monotonic else softmax(e)
        new = {"alignment": a} if kept else {}
        new |= {"coverage": state.coverage + a} if coverage else {}
        new |= {"started": 0 * state.started + 1} if monotonic else {}
        return over_positions(a * memory.values), new

    def step(given: dict[str, Any], beside: Any) -> dict[str, Any]:
        given = dict(given)
        if beside is not None:
            given["drive"] = _beside(base, given["drive"], given["state"], beside)
        return dict(base.update(**arguments_of(base, given)))

    def update(drive: Any, state: Any, param: Any, signal: Any, constant: Any, memory: Any) -> dict[str, Any]:
        given = {"drive": drive, "state": state, "param": param, "signal": signal, "constant": constant}
        if before:
            context, of_positions = read(drive, state, param, memory, getattr(state, output.name))
            return step(given, context) | {"context": context} | of_positions
        new = step(given, state.attended if fed else None)
        context, of_positions = read(drive, state, param, memory, new[output.name])
        return new | {"attended": tanh(drive.attended(context, new[output.name]))} | of_positions

    name = score if isinstance(score, str) else "a given"
    asks = (Drive("query", input=False, bias=additive, width=keys),) if score in SCORES[::2] else ()
    of_score = ["v", *(f"location_{i}" for i in range(2 * location + 1 if location else 0))]
    of_score += ["covered"] if coverage else []
    of_positions = {"alignment": kept, "coverage": coverage, "started": monotonic}
    return Cell(
        f"{base.name} with {name} attention",
        state=(
            *base.slots,
            Slot("context", values) if before else Slot("attended"),
            *(Slot(slot, SOURCE) for slot, used in of_positions.items() if used),
        ),
        drives=(
            *(_drives(base) if fed else base.drives),
            *asks,
            *(() if before else (Drive("attended", input=False, bias=False),)),
        ),
        update=update,
        units=(*base.units, *(Unit(n, (-0.1, 0.1), width=keys) for n in of_score if additive)),
        signals=base.signals,
        constants=base.constants,
        recurrent=base.recurrent,
        output=base.output if before else "attended",
        bias=base.bias,
        masks=base.masks,
        memory=(Memory("keys", keys), Memory("values", values)),
    )


def _monotonic(e: Any, state: Any) -> Any:
    """The expected weights of monotonic attention, which stops at each position with probability p or goes on.

    It goes on from where it stopped before, at first from the first position.
    """
    p = sigmoid(e)
    first = 1 - shift(0 * e + 1, 1)
    begin = state.alignment + (1 - state.started) * first
    return p * scan(shift(1 - p, 1), begin)


def _check(base: Any, score: Any, query: Any, location: Any, weights: Any) -> None:
    if not isinstance(base, Cell):
        raise ArgumentTypeError("cell", "be a Cell", what_came(base))
    if not callable(score) and not (isinstance(score, str) and score in SCORES):
        raise ArgumentError("score", f"be one of {', '.join(SCORES)}, or a function", repr(score))
    one_of("query", query, QUERIES)
    one_of("weights", weights, WEIGHTS)
    integer("location", location, at_least=0)
    structured = [d.name for d in base.drives if d.structure != DENSE or d.tied is not None]
    masked = [d.name for d in base.drives if d.masked is not None]
    why = None
    if masked:
        why = f"drive {masked[0]} with a mask: mask the cell that this function returns"
    elif structured:
        why = f"drive {structured[0]} with a structure, or tied"
    elif base.normalized:
        why = f"drive {base.normalized[0]} normalized"
    elif base.parametrize:
        why = f"{', '.join(base.parametrize)} parametrized"
    elif base.memory:
        why = "a memory already"
    if why is not None:
        raise ArgumentError(
            "cell", "have dense drives, free parameters and no memory", f"{base.name!r}, which has {why}"
        )


def _check_width(name: str, width: Any) -> None:
    fixed = isinstance(width, str) and width.isdecimal() and int(width) > 0
    if not fixed and not (isinstance(width, str) and width == HIDDEN):
        raise ArgumentError(name, "be 'hidden', or a positive number as text, such as '32'", repr(width))


def _slots(base: Cell, d: Drive) -> tuple[str, ...]:
    return (base.recurrent or ()) if d.operand is None else d.operand


def _drives(base: Cell) -> tuple[Drive, ...]:
    """The drives of a cell that another value enters beside its input.

    A drive with an input is called with that value. The recurrent side of one kept apart is a drive of its own.
    """
    found = []
    for d in base.drives:
        if not d.input:
            found.append(d)
        elif base.schedule.usage[d.name] == "apart":
            h = Drive(f"{d.name}_h", _slots(base, d), input=False, bias=d.bias, width=d.width)
            found += [Drive(d.name, bias=d.bias, width=d.width), h]
        else:
            found.append(Drive(d.name, bias=d.bias, width=d.width))
    return tuple(found)


def _beside(base: Cell, drive: Any, state: Any, value: Any) -> Any:
    """The drives that the equations of a cell see, with a value entering beside the input."""
    seen = {}
    for d in base.drives:
        if not d.input:
            seen[d.name] = getattr(drive, d.name)
            continue
        call, usage = getattr(drive, d.name), base.schedule.usage[d.name]
        if usage == "called":
            seen[d.name] = _calling(call, value)
        elif usage == "apart":
            seen[d.name] = SimpleNamespace(x=call(value), h=getattr(drive, f"{d.name}_h"))
        else:
            seen[d.name] = call(*(getattr(state, s) for s in _slots(base, d)), value)
    return SimpleNamespace(**seen)


def _calling(call: Callable[..., Any], value: Any) -> Callable[..., Any]:
    return lambda *operand: call(*operand, value)
