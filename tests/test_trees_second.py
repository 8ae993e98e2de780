"""Second derivatives over trees: against the reference, against themselves, and on chains against sequences."""

from __future__ import annotations

import numpy as np
import pytest
from cell_checks import DIFFERENCE_STEPS, FOURTH_ORDER
from refusals import Refusal, refused, wrong_type
from test_trees import (
    CELLS,
    STEP,
    H,
    N,
    a_direction,
    a_forest,
    a_point,
    a_run,
    by_reference,
    close,
    cotangents,
    every_cell,
    gradients,
    moved,
    random_parents,
)

import recurrent_dynamics as rd


def along(u):
    """A direction as the arguments of `hvp`."""
    return {
        "d_params": u["params"], "d_x": u["x"][""], "d_initial": u["initial"], "d_signals": u["signals"] or None,
    }  # fmt: skip


def dot(a, b):
    return sum(np.vdot(a[k][n], b[k][n]) for k in a for n in a[k])


@every_cell
def test_products_with_the_hessian_are_those_of_the_reference(rng, name):
    """A complex step along random directions, at points whose differences of fourth order are taken."""
    cell, forest = CELLS[name](), a_forest(rng, (1, 7, 4))
    point = a_point(rng, cell, forest)
    run, u = a_run(cell, forest, point), a_direction(rng, point)
    d, change = cotangents(rng, run), cotangents(rng, run)
    found = gradients(rd.trees.hvp(run, d_states=d, d_states_tangent=change, **along(u)))
    h = DIFFERENCE_STEPS[0]
    for _ in range(4):
        w = a_direction(rng, point)
        wanted = 0.0
        for k, factor in FOURTH_ORDER.items():
            states = by_reference(cell, forest, moved(moved(point, u, k * h), w, 1j * STEP))
            slope = sum(np.vdot(d[s] + k * h * change[s], states[s].imag) for s in d) / STEP
            wanted += factor * slope / h
        assert dot(w, found) == pytest.approx(wanted, rel=1e-8, abs=1e-8)


@every_cell
def test_the_hessian_is_symmetric(rng, name):
    cell, forest = CELLS[name](), a_forest(rng, (5, 12, 1))
    point = a_point(rng, cell, forest)
    run, u, w = a_run(cell, forest, point), a_direction(rng, point), a_direction(rng, point)
    d = cotangents(rng, run)
    one, other = (gradients(rd.trees.hvp(run, d_states=d, **along(v))) for v in (u, w))
    assert dot(w, one) == pytest.approx(dot(u, other), rel=1e-11, abs=1e-11)


@every_cell
def test_what_moves_the_states_is_their_tangent(rng, name):
    """The cotangents of states that are given move by what is given for them, and by nothing where nothing moves."""
    cell, forest = CELLS[name](), a_forest(rng)
    run = a_run(cell, forest, a_point(rng, cell, forest))
    d, change = cotangents(rng, run), cotangents(rng, run)
    found = gradients(rd.trees.hvp(run, d_states=d, d_states_tangent=change))
    wanted = gradients(rd.trees.backward(run, d_states=change))
    for kind, arrays in wanted.items():
        for key, a in arrays.items():
            close(found[kind][key], a, 1e-12)


@pytest.mark.parametrize("make", [rd.cells.elman, rd.cells.lstm, rd.cells.gru])
def test_chains_are_sequences(rng, make):
    cell, steps, batch, units = make(), 9, 3, 7
    params = cell.init(N, units, rng, "float64")
    x = rng.standard_normal((steps, batch, N))
    chains = rd.trees.forest([[*range(1, steps), -1]] * batch)
    flat = lambda a: np.ascontiguousarray(a.swapaxes(0, 1)).reshape(steps * batch, -1)
    run, over = rd.forward(cell, params, x), rd.trees.forward(cell, params, chains, flat(x))
    d, du, d_x = (rng.standard_normal(a.shape) for a in (run.output, run.output, x))
    d_params = {k: rng.standard_normal(a.shape) for k, a in params.items()}
    one = rd.hvp(run, d, d_params, du, d_x=d_x)
    other = rd.trees.hvp(over, flat(d), d_params, flat(du), d_x=flat(d_x))
    for key, a in one.params.items():
        close(other.params[key], a, 1e-12)
    close(other.x, flat(one.x), 1e-12)
    for slot in cell.state:
        close(other.states[slot], flat(one.states[slot]), 1e-12)
        close(other.initial[slot], one.initial[slot], 1e-12)


@pytest.mark.parametrize("name", ["child-sum", "n-ary"])
def test_class_indices_are_one_hot_vectors(rng, name):
    cell, forest = CELLS[name](), a_forest(rng)
    params, classes = cell.init(5, H, rng, "float64"), rng.integers(0, 5, forest.nodes)
    by_class, by_number = (rd.trees.forward(cell, params, forest, x) for x in (classes, np.eye(5)[classes]))
    d, u = (
        rng.standard_normal(by_class.output.shape),
        {k: rng.standard_normal(a.shape) for k, a in params.items()},
    )
    one, other = (rd.trees.hvp(run, d, u) for run in (by_class, by_number))
    assert one.x is None
    for key, a in other.params.items():
        close(one.params[key], a, 1e-12)


@every_cell
def test_single_precision_is_close_to_double(rng, name):
    cell, forest = CELLS[name](), a_forest(rng, (20, 6))
    point = a_point(rng, cell, forest)
    u, found = a_direction(rng, point), []
    d = cotangents(rng, a_run(cell, forest, point))
    for dtype in ("float64", "float32"):
        at, by = ({k: {n: a.astype(dtype) for n, a in v.items()} for k, v in p.items()} for p in (point, u))
        run = a_run(cell, forest, at)
        found.append(
            gradients(rd.trees.hvp(run, d_states={s: a.astype(dtype) for s, a in d.items()}, **along(by)))
        )
    for kind, arrays in found[0].items():
        for key, a in arrays.items():
            assert found[1][kind][key].dtype == "float32"
            close(found[1][kind][key].astype("float64"), a, 1e-3)


@every_cell
@pytest.mark.parametrize("sizes", [(300,), (90, 80, 100, 70)])
def test_any_number_of_threads_gives_the_same_bits(rng, set_threads, tune, name, sizes):
    tune(min_parallel_flops=0)
    cell = CELLS[name]()
    forest = rd.trees.forest([random_parents(rng, n) for n in sizes])
    point = a_point(rng, cell, forest, "float32")
    by = {k: {n: a.astype("float32") for n, a in v.items()} for k, v in a_direction(rng, point).items()}
    found = []
    for threads in (1, 2):
        set_threads(threads)
        run = a_run(cell, forest, point)
        found.append(gradients(rd.trees.hvp(run, np.ones_like(run.output), **along(by))))
    for kind, arrays in found[0].items():
        for key, a in arrays.items():
            np.testing.assert_array_equal(found[1][kind][key], a)


def test_wrong_arguments_are_named(rng):
    cell, forest = rd.trees.recursive(3), a_forest(rng)
    run = a_run(cell, forest, a_point(rng, cell, forest))
    d = np.ones_like(run.output)
    for wanted, call in (
        (Refusal("one of d_output, d_states, d_final"), lambda: rd.trees.hvp(run)),
        (wrong_type("run", "TreeRun"), lambda: rd.trees.hvp(3, d)),
        (Refusal("d_params"), lambda: rd.trees.hvp(run, d, {"V": d})),
        (Refusal("d_output_tangent"), lambda: rd.trees.hvp(run, d, None, d[1:])),
        (Refusal("d_states_tangent"), lambda: rd.trees.hvp(run, d, d_states_tangent={"c": d})),
        (Refusal("d_x"), lambda: rd.trees.hvp(run, d, d_x=d[1:])),
    ):
        with refused(wanted):
            call()
