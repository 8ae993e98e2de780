"""One property of every cell: each verb is right whatever the sizes, the lengths and the resets.

`cell_checks` has the checks. This module draws what they are made with, and keeps long runs from growing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import hypothesis
import hypothesis.strategies as st
import numpy as np
from cell_checks import (
    COMPLEX_STEP,
    Case,
    DoubtfulReference,
    case,
    check_backward,
    check_forward,
    check_outputs,
    check_second,
    check_states,
    check_stepper,
    check_tangent,
    close,
    group,
    tangent_of_reference,
)

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.engine import reference

# By how much rounding of the data may change the states, in units of that rounding: the engine computes what slightly
# other data would give, so this is what to expect of it as well. `check_forward` allows 4500 units.
CONDITION = 50


@dataclass(frozen=True)
class Draw:
    """What hypothesis chooses; the seed draws the numbers."""

    steps: int
    batch: int
    inputs: int
    hidden: int
    lengths: bool
    reset: bool
    seed: int


def draws(largest: int) -> st.SearchStrategy[Draw]:
    """T, B, N and H between 1 and the largest."""
    size, flag = st.integers(1, largest), st.booleans()
    return st.builds(Draw, size, size, size, size, flag, flag, st.integers(0, 2**32 - 1))


def check_any_sizes(cell: Cell, drawn: Draw) -> None:
    """Every verb of the cell for what was drawn."""
    rng = np.random.default_rng(drawn.seed)
    hidden = fitting(cell, drawn.hidden)
    c = case(cell, rng, drawn.steps, drawn.batch, drawn.inputs, hidden, drawn.lengths, drawn.reset)
    c = without_growth(c, rng)
    check_forward(c)
    check_backward(c, rng, every_entry=False)
    check_outputs(c, rng)
    check_tangent(c, rng)
    check_states(c, rng)
    try:
        check_second(c, rng)
    except DoubtfulReference:  # beside a kink, as of |z| in a modReLU: another example has to do
        hypothesis.reject()
    check_jacobian_along_one_direction(c, rng)
    check_stepper(c)


def fitting(cell: Cell, hidden: int) -> int:
    """The next number of units that the cell can have."""
    if cell.normalized:
        hidden = max(hidden, 4)  # normalization of one or two units leaves nothing but signs
    heads = math.lcm(*(d.structure.heads for d in cell.drives))
    return -(-hidden // heads) * heads


def without_growth(c: Case, rng: np.random.Generator) -> Case:
    """The case with its parameters halved until errors do not grow along its steps.

    In a chaotic network they double every few steps, and after 40 of them two right engines have nothing in common.
    """
    by = {key: value * rng.standard_normal(value.shape) for key, value in c.point.items()}
    for _ in range(10):
        if condition(c, by) <= CONDITION:
            return c
        for point in (c.point, by):
            point.update({key: value / 2 for key, value in point.items() if key[0] == "params"})
    raise AssertionError(
        f"{c.cell.name}: rounding grows {condition(c, by):.0f} times with hardly any parameters"
    )


def condition(c: Case, by: dict[tuple[str, str], np.ndarray]) -> float:
    """How much a relative change of the data changes the states, in units of the largest entry, or of 1 if less."""
    states, moves = c.reference(c.point), tangent_of_reference(c, by)
    return max(np.abs(moves[slot]).max() / np.clip(np.abs(states[slot]).max(), 1e-3, 1.0) for slot in states)


def check_jacobian_along_one_direction(c: Case, rng: np.random.Generator) -> None:
    """J v of every step at once by complex step, against the operator and the matrices."""
    run = c.run()
    A = rd.jacobian_operator(run)
    u = rng.standard_normal((c.steps, run.batch_size, run.tape.layout.state_size))
    rows = (run.tape.before + 1j * COMPLEX_STEP * u).reshape(-1, u.shape[-1])
    ends = np.cumsum([run.states[slot].shape[-1] for slot in c.cell.state])[:-1]
    state = dict(zip(c.cell.state, np.split(rows, ends, axis=1)))
    params = group(c.point, "params")
    signals = {name: value.reshape(len(rows), -1) for name, value in group(c.point, "signals").items()}
    after = reference.step(c.cell, params, c.x.reshape(len(rows), c.x.shape[2]), state, signals)
    wanted = np.concatenate([after[s].imag for s in c.cell.state], axis=1).reshape(u.shape) / COMPLEX_STEP
    if run.mask is not None:
        wanted = np.where(run.mask[..., None], wanted, u)
    close("matvec", A.matvec(u), wanted, 1e-9)
    close("jacobian", (rd.jacobian(run) @ u[..., None])[..., 0], wanted, 1e-9)
    v = rng.standard_normal(u.shape)
    left, right = np.sum(v * wanted), np.sum(A.rmatvec(v) * u)
    assert abs(left - right) <= 1e-13 * np.sum(np.abs(v * wanted)) + 1e-13
