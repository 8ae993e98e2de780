"""Walks of their own over sequences of different lengths, with resets: against each unbroken stretch run by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cell_checks import Case, case, close, direction, gradients, group, inner
from ode_fields import CHAIN, EXPLICIT, LINEAR, PARTITIONED
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.ode import Field, discretize, implicit_forward, reversible_forward

T, B, H = 6, 4, 3
LENGTHS = np.array([6, 3, 0, 5])
RESET = np.zeros((T, B), bool)
RESET[[0, 2, 3, 4, 4], [0, 1, 0, 3, 1]] = True  # at the beginning, within, and beyond the end of a sequence
WALKS: dict[str, tuple[Callable[..., Any], Field, dict[str, Any]]] = {
    "implicit euler": (implicit_forward, EXPLICIT["called"], {"method": "implicit_euler", "dt": 0.7}),
    "implicit midpoint": (implicit_forward, EXPLICIT["pair"], {"method": "implicit_midpoint", "step": "signal"}),
    "implicit, step from the input": (
        implicit_forward, LINEAR, {"method": "implicit_euler", "dt": 0.7, "step": "input"},
    ),
    "leapfrog": (reversible_forward, CHAIN, {"method": "leapfrog", "step": "signal", "chunk": 2}),
    "symplectic euler": (
        reversible_forward, PARTITIONED["both sides"],
        {"method": "symplectic_euler", "dt": 0.3, "step": "learnt", "chunk": 32},
    ),
}  # fmt: skip


def case_of(field: Field, options: dict[str, Any], rng: np.random.Generator) -> Case:
    stepped = {k: v for k, v in options.items() if k in ("dt", "step")}
    return case(discretize(field, "euler", **stepped), rng, steps=T, batch=B, inputs=2, hidden=H)


def run_of(c: Case, walk: Any, field: Field, options: dict[str, Any], **more: Any) -> Any:
    return walk(
        field, group(c.point, "params"), c.x, initial=group(c.point, "initial"),
        signals=group(c.point, "signals"), **options, **more,
    )  # fmt: skip


def stretches() -> Iterator[tuple[int, int, int]]:
    """(sequence, from, to) of what runs without a break."""
    for b in range(B):
        begins = [0, *(t for t in range(1, LENGTHS[b]) if RESET[t, b]), LENGTHS[b]]
        yield from ((b, t, end) for t, end in pairwise(begins) if end > t)


@pytest.mark.parametrize("name", WALKS)
def test_a_run_is_its_stretches(name: str, rng: np.random.Generator) -> None:
    walk, field, options = WALKS[name]
    c = case_of(field, options, rng)
    whole = run_of(c, walk, field, options, lengths=LENGTHS, reset=RESET)
    d = rng.standard_normal((T, B, H))
    d_final = {s: rng.standard_normal((B, H)) for s in c.cell.state}
    found = whole.backward(d, d_final=d_final)
    came = gradients(found, c.point)
    wanted = {key: np.zeros_like(value) for key, value in c.point.items()}
    final = {s: v.copy() for s, v in group(c.point, "initial").items()}
    for s in final:
        wanted["initial", s][LENGTHS == 0] += d_final[s][LENGTHS == 0]
    for b, t, end in stretches():
        alone = walk(
            field, group(c.point, "params"), c.x[t:end, b],
            initial={s: v[b] for s, v in group(c.point, "initial").items()},
            signals={s: v[t:end, b] for s, v in group(c.point, "signals").items()}, **options,
        )  # fmt: skip
        last = end == LENGTHS[b]
        grads = alone.backward(d[t:end, b], d_final={s: v[b] for s, v in d_final.items()} if last else None)
        for k, v in grads.params.items():
            wanted["params", k] += v
        wanted["x", ""][t:end, b] = grads.x
        for s, v in grads.initial.items():
            wanted["initial", s][b] += v
        for s, v in grads.signals.items():
            wanted["signals", s][t:end, b] = v
        if walk is implicit_forward:
            close("output", whole.output[t:end, b], alone.output, 1e-11)
        if last:
            for s in final:
                final[s][b] = alone.final[s]
    for key, value in wanted.items():
        close(f"gradient by {' '.join(key)}", came[key], value, 1e-9)
    for s, value in final.items():
        close(f"final {s}", whole.final[s], value, 1e-11)
    if walk is reversible_forward:
        assert found.drift < 1e-9
        taped = rd.forward(
            discretize(field, options["method"], **{k: v for k, v in options.items() if k in ("dt", "step")}),
            group(c.point, "params"), c.x, initial=group(c.point, "initial"), lengths=LENGTHS, reset=RESET,
            signals=group(c.point, "signals"),
        )  # fmt: skip
        for key, value in gradients(rd.backward(taped, d, d_final=d_final), c.point).items():
            close(f"gradient by {' '.join(key)}, on a tape", came[key], value, 1e-9)


@pytest.mark.parametrize("name", [n for n in WALKS if WALKS[n][0] is implicit_forward])
def test_implicit_derivatives_with_ends_and_resets(name: str, rng: np.random.Generator) -> None:
    """Tangents against the adjoint; a held step has the Jacobian I, output 0, its state kept, and costs nothing."""
    walk, field, options = WALKS[name]
    c = case_of(field, options, rng)
    run = run_of(c, walk, field, options, lengths=LENGTHS, reset=RESET)
    over = np.arange(T)[:, None] >= LENGTHS
    assert (run.output[over] == 0).all()
    assert (run.residual[over] == 0).all()
    assert (run.jacobian()[over] == np.eye(run.jacobian().shape[-1])).all()
    for s in c.cell.state:
        np.testing.assert_array_equal(run.states[s][-1, 1], run.states[s][2, 1])
        np.testing.assert_array_equal(run.states[s][:, 2], np.tile(group(c.point, "initial")[s][2], (T, 1)))
    by = direction(c.point, rng)
    tangent = run.jvp(group(by, "params"), by["x", ""], group(by, "initial"), group(by, "signals") or None)
    assert (tangent.output[over] == 0).all()
    d, d_states = rng.standard_normal((T, B, H)), {s: rng.standard_normal((T, B, H)) for s in c.cell.state}
    grads = gradients(run.backward(d, d_states), c.point)
    left, right = np.sum(d * tangent.output) + inner(d_states, dict(tangent.states)), inner(grads, by)
    assert abs(left - right) <= 1e-12 * sum(np.sum(np.abs(grads[k] * by[k])) for k in by)
    wild = c.x.copy()
    wild[over] = np.nan
    again = run_of(
        Case(c.cell, c.point | {("x", ""): wild}), walk, field, options, lengths=LENGTHS, reset=RESET
    )
    np.testing.assert_array_equal(again.output, run.output)


def test_one_sequence(rng: np.random.Generator) -> None:
    """Resets (T,) and one length; what is kept for resets is all that grows."""
    x, reset = rng.standard_normal((T, 2)), RESET[:, 0]
    params = CHAIN.init(2, H, rng, "float64")
    one = reversible_forward(CHAIN, params, x, dt=0.2, reset=reset, lengths=[5])
    many = reversible_forward(CHAIN, params, x[:, None], dt=0.2, reset=reset[:, None], lengths=[5])
    d = rng.standard_normal((T, H))
    alone, batched = one.backward(d), many.backward(d[:, None])
    np.testing.assert_allclose(alone.x, batched.x[:, 0], rtol=1e-12)
    np.testing.assert_allclose(alone.initial["p"], batched.initial["p"][0], rtol=1e-12)
    solved = implicit_forward(CHAIN, params, x, dt=0.2, reset=reset, lengths=[5])
    batch = implicit_forward(CHAIN, params, x[:, None], dt=0.2, reset=reset[:, None], lengths=[5])
    np.testing.assert_allclose(solved.output, batch.output[:, 0], rtol=1e-12)
    np.testing.assert_allclose(solved.backward(d).x, batch.backward(d[:, None]).x[:, 0], rtol=1e-12)


@pytest.mark.parametrize("walk", [implicit_forward, reversible_forward])
def test_refuses(walk: Any, rng: np.random.Generator) -> None:
    params, x = CHAIN.init(2, H, rng, "float64"), rng.standard_normal((T, B, 2))
    for options, words in (
        ({"lengths": [1, 2]}, "lengths must be 4 integers, one a sequence; came shape"),
        ({"lengths": [1, 2, 7, 3]}, "lengths must lie between 0 and 6"),
        ({"reset": RESET.astype(int)}, r"reset must be booleans of shape \(6, 4\)"),
        ({"reset": RESET[:5]}, r"reset must be booleans of shape \(6, 4\); came shape \(5, 4\)"),
    ):
        with pytest.raises(ValueError, match=words):
            walk(CHAIN, params, x, dt=0.2, **options)


def test_refuses_directions_of_another_shape(rng: np.random.Generator) -> None:
    params, x = CHAIN.init(2, H, rng, "float64"), rng.standard_normal((T, B, 2))
    run = implicit_forward(CHAIN, params, x, dt=0.2)
    with refused("d_x", "(6, 4, 2)", "(6, 4, 1)"):
        run.jvp(d_x=x[..., :1])
    with refused("d_signals", came="'dt'"):
        run.jvp(d_signals={"dt": x})
    with refused("d_x", ("None", "no input")):
        implicit_forward(CHAIN, params, steps=2, dt=0.2).jvp(d_x=x)
    with refused("lengths", "0", "0 for every sequence"):
        implicit_forward(CHAIN, params, x, dt=0.2, lengths=[0] * B)


@pytest.mark.parametrize("walk", [implicit_forward, reversible_forward])
def test_class_indices(walk: Any, rng: np.random.Generator) -> None:
    params, indices = CHAIN.init(3, H, rng, "float64"), rng.integers(0, 3, (T, B))
    options = {
        "method": "implicit_midpoint" if walk is implicit_forward else "leapfrog",
        "dt": 0.2,
        "lengths": LENGTHS,
    }
    run = walk(CHAIN, params, indices, **options)
    dense = walk(CHAIN, params, np.eye(3)[indices], **options)
    d_final = {s: rng.standard_normal(v.shape) for s, v in run.final.items()}
    grads, wanted = run.backward(d_final=d_final), dense.backward(d_final=d_final)
    assert grads.x is None
    for key, value in wanted.params.items():
        np.testing.assert_allclose(grads.params[key], value, atol=1e-10)
    with pytest.raises(ValueError, match="came 3"):
        walk(CHAIN, params, indices + (indices == 2), **options)
