"""Drives kept as bfloat16, and walks in pieces of some steps."""

from __future__ import annotations

from dataclasses import replace

import cell_checks
import numpy as np
import pytest
from device_cases import SMALL, case
from odd_cells import ODD
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL
from recurrent_dynamics.engine.cuda import choose, footprint, rounded, verbs

CASES = {
    "lstm": cells.lstm(),
    "two stages": cells.gru_reset_before(),
    "diagonal": cells.elman().with_structure(DIAGONAL),
    **{name: cell for name, cell in ODD.items() if cell.signals},
}


@pytest.fixture(autouse=True)
def in_pieces(monkeypatch, tune):
    """Of two steps each, so that five steps are three pieces."""
    monkeypatch.setattr(verbs, "current_device", lambda: SMALL)
    tune(bfloat16_piece_bytes=0, bfloat16_piece_steps=2)


def float32(cell, rng, **options):
    return case(cell, rng, **options).astype("float32")


def nearest(a: np.ndarray) -> np.ndarray:
    """bfloat16 by its definition: the nearer neighbour, or of two the one with an even last bit."""
    down = (a.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    up = (down.view(np.uint32) + np.uint32(0x10000)).view(np.float32)
    low, high = np.abs(a.astype("f8") - down), np.abs(up - a.astype("f8"))
    odd = (down.view(np.uint32) >> 16) & 1
    return np.where((low < high) | ((low == high) & (odd == 0)), down, up)


def test_numbers_are_rounded_to_the_nearest(rng):
    a = (rng.standard_normal((3, 2, 8)) * 10.0 ** rng.integers(-30, 30, (3, 2, 8))).astype("float32")
    a[0, 0, :4] = [1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0.0]  # halves, and a zero
    values = rounded.Rounded(np.zeros((3, 2, 8), np.uint16), np.zeros((3, 2, 0), "float32"))
    values.keep(0, 3, a)
    np.testing.assert_array_equal(values[:], nearest(a))
    np.testing.assert_array_equal(values[np.array([2, 0])], nearest(a)[[2, 0]])


def test_what_is_no_number_stays_that():
    a = np.array([np.nan, np.inf, -np.inf, -0.0, 3.4e38], "float32").reshape(1, 1, 5)
    a = np.concatenate([a, np.array([[[0x7F800001, 0xFFFFFFFF]]], np.uint32).view("float32")], axis=-1)
    values = rounded.Rounded(np.zeros((1, 1, 7), np.uint16), np.zeros((1, 1, 0), "float32"))
    values.keep(0, 1, a)
    came = values[:].ravel()
    np.testing.assert_array_equal(came, [np.nan, np.inf, -np.inf, 0.0, np.inf, np.nan, np.nan])
    assert np.signbit(came[3])


@pytest.mark.parametrize("ends", [False, True], ids=["whole", "lengths and resets"])
@pytest.mark.parametrize(
    "name", [n if n in ("lstm", "signals") else pytest.param(n, marks=pytest.mark.full) for n in CASES]
)
def test_pieces_are_the_whole(name, ends, rng):
    """The same run to the last bit; what goes back is what goes back from the rounded drives, in one walk."""
    c = float32(CASES[name], rng, steps=5, batch=3, lengths=ends, reset=ends)
    plain, run = c.run(), c.run(tape_dtype="bfloat16")
    for slot in c.cell.state:
        np.testing.assert_array_equal(run.states[slot], plain.states[slot])
    kept = footprint.kept_size(plain.engine_tape.layout)
    values = plain.engine_tape.values.copy()
    np.testing.assert_array_equal(run.engine_tape.values[:][..., kept:], values[..., kept:])
    values[..., :kept] = run.engine_tape.values[:][..., :kept]
    np.testing.assert_allclose(values, plain.engine_tape.values, rtol=2**-8, atol=1e-30)
    plain._tape = replace(plain.engine_tape, values=values)
    d, x = (rng.standard_normal(s).astype("float32") for s in (run.output.shape, c.x.shape))
    wanted, came = (rd.backward(r, d) for r in (plain, run))
    for key, value in {**wanted.params, **wanted.initial, **wanted.states, **wanted.signals}.items():
        got = {**came.params, **came.initial, **came.states, **came.signals}[key]
        cell_checks.close(key, got, value, 1e-5)
    cell_checks.close("x", came.x, wanted.x, 1e-5)
    initial = {
        s.name: rng.standard_normal((3, s.width)).astype("float32") for s in run.engine_tape.layout.slots
    }
    tangents = [rd.jvp(r, d_x=x, d_params=r.params, d_initial=initial).output for r in (plain, run)]
    cell_checks.close("tangent", tangents[1], tangents[0], 1e-5)
    np.testing.assert_array_equal(rd.jacobian(run), rd.jacobian(plain))
    for drive in plain.drives:
        np.testing.assert_allclose(run.drives[drive], plain.drives[drive], rtol=2**-8)
    assert run.tape.values.dtype == np.float32


@pytest.mark.parametrize("name", ["lstm", "two stages"])
def test_gradients_are_good_to_a_hundredth(name, rng):
    c = float32(CASES[name], rng, steps=5, batch=3, hidden=6)
    d = rng.standard_normal((5, 3, 6)).astype("float32")
    exact, came = (rd.backward(c.run(**o), d) for o in ({}, {"tape_dtype": "bfloat16"}))
    for key, value in exact.params.items():
        error = np.abs(came.params[key] - value).max() / np.abs(value).max()
        assert 0 < error < 1e-2, key


def test_other_walks_go_in_pieces(monkeypatch, rng):
    for offer in (lambda *a: choose.grids(*a)[-1], lambda *a: choose.steps(*a)[0]):
        monkeypatch.setattr(verbs, "plan_walk", offer)
        c = float32(CASES["lstm"], rng, steps=5, batch=3, reset=True, lengths=True)
        run = c.run(tape_dtype="bfloat16")
        wanted = c.run()
        np.testing.assert_array_equal(run.output, wanted.output)
        d = rng.standard_normal(run.output.shape).astype("float32")
        came, exact = rd.backward(run, d), rd.backward(wanted, d)
        for key, value in exact.initial.items():
            assert np.abs(came.initial[key] - value).max() < 2e-2 * np.abs(value).max()


def test_it_takes_less_memory():
    layout = cells.lstm().layout(64, 512)
    sizes = verbs.Sizes(1000, 64, 64, 512, 4)
    for verb in ("forward", "adjoint"):
        assert footprint.needed(layout, sizes, verb, rounded=True) < 0.75 * footprint.needed(
            layout, sizes, verb
        )


def test_where_it_means_nothing_it_is_refused(rng):
    c = case(cells.elman(), rng)
    with refused("tape_dtype", "float64", "float32"):
        c.run(tape_dtype="bfloat16")
    with refused("tape_dtype", ("float64", "'bfloat16'"), "'float16'"):
        c.run(tape_dtype="float16")
    assert c.run(tape_dtype="float64").dtype == np.float64
    x = c.x.astype("float32")
    with refused("tape_dtype", "'cpu'", "'bfloat16'"):
        rd.forward(c.cell, c.cell.init(3, 4), x, tape_dtype="bfloat16")
