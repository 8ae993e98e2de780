"""What a run promises: one sequence, padding, cotangents, autonomous runs, immutability."""

from __future__ import annotations

import numpy as np
import pytest
from cell_checks import case, gradients, group
from cell_variants import of
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cpu import backward_pass, tables
from recurrent_dynamics.engine.run import Views
from recurrent_dynamics.equations import sigmoid
from recurrent_dynamics.equations.storage import overwritable_drives

CELLS = of("quick")
by_name = pytest.mark.parametrize("name", CELLS)
same = np.testing.assert_array_equal


def drawn(rng, like):
    """Random arrays shaped as those of a mapping."""
    return {key: rng.standard_normal(value.shape) for key, value in like.items()}


def padded(run, a, by):
    """The array with `by` beyond the lengths."""
    return np.where(run.mask[..., None], a, by)


@by_name
def test_one_sequence_gives_through_every_verb_what_a_batch_of_one_gives(name, rng):
    c = case(CELLS[name], rng, steps=5, batch=1)
    params, initial = group(c.point, "params"), group(c.point, "initial")
    one_initial = {slot: value[0] for slot, value in initial.items()}
    options = {"lengths": [4], "reset": np.array([[False], [False], [True], [False], [False]])}
    batch = rd.forward(c.cell, params, c.x, initial=initial, **options)
    one = rd.forward(
        c.cell, params, c.x[:, 0], initial=one_initial, lengths=[4], reset=options["reset"][:, 0]
    )
    same(one.output, batch.output[:, 0])
    same(one.x, batch.x[:, 0])
    same(one.mask, batch.mask[:, 0])
    for slot in c.cell.state:
        same(one.states[slot], batch.states[slot][:, 0])
        same(one.final[slot], batch.final[slot][0])
        same(one.initial[slot], batch.initial[slot][0])
    for drive in batch.drives:
        same(one.drives[drive], batch.drives[drive][:, 0])

    d_output, d_final, d_states = (
        rng.standard_normal(batch.output.shape),
        drawn(rng, batch.final),
        drawn(rng, batch.states),
    )
    cotangents = {"d_output": d_output, "d_states": d_states, "d_final": d_final}
    one_cotangents = {
        "d_output": d_output[:, 0],
        "d_states": {slot: value[:, 0] for slot, value in d_states.items()},
        "d_final": {slot: value[0] for slot, value in d_final.items()},
    }
    d_params, d_x, d_initial = drawn(rng, params), rng.standard_normal(c.x.shape), drawn(rng, initial)
    along = {"d_params": d_params, "d_x": d_x, "d_initial": d_initial}
    one_along = along | {"d_x": d_x[:, 0], "d_initial": {slot: value[0] for slot, value in d_initial.items()}}

    def same_gradients(a, b):
        for key in params:
            same(a.params[key], b.params[key])
        same(a.x, b.x[:, 0])
        for slot in c.cell.state:
            same(a.initial[slot], b.initial[slot][0])
            same(a.states[slot], b.states[slot][:, 0])

    same_gradients(rd.backward(one, **one_cotangents), rd.backward(batch, **cotangents))
    same_gradients(rd.hvp(one, **one_cotangents, **one_along), rd.hvp(batch, **cotangents, **along))
    moved, wanted = rd.jvp(one, **one_along), rd.jvp(batch, **along)
    same(moved.output, wanted.output[:, 0])
    for slot in c.cell.state:
        same(moved.states[slot], wanted.states[slot][:, 0])
        same(moved.final[slot], wanted.final[slot][0])
    J = rd.jacobian(batch)
    same(rd.jacobian(one), J[:, 0])
    same(rd.jacobian(one, 2), J[2, 0])
    A, B = rd.jacobian_operator(one), rd.jacobian_operator(batch)
    same(A.block("h", "h"), B.block("h", "h")[:, 0])
    v = rng.standard_normal(B.shape)
    same(A.matvec(v[:, 0]), B.matvec(v)[:, 0])
    same(A.rmatvec(v[:, 0]), B.rmatvec(v)[:, 0])


@by_name
def test_cotangents_of_output_states_and_final_state_add_up(name, rng):
    run = case(CELLS[name], rng, lengths=True).run()
    d_output, d_states, d_final = (
        rng.standard_normal(run.output.shape),
        drawn(rng, run.states),
        drawn(rng, run.final),
    )
    whole = rd.backward(run, d_output, d_states, d_final)
    parts = [
        rd.backward(run, d_output),
        rd.backward(run, d_states=d_states),
        rd.backward(run, d_final=d_final),
    ]
    for key in whole.params:
        np.testing.assert_allclose(
            whole.params[key], sum(g.params[key] for g in parts), rtol=1e-12, atol=1e-12
        )
    np.testing.assert_allclose(whole.x, sum(g.x for g in parts), rtol=1e-12, atol=1e-12)


@by_name
def test_what_stands_in_the_padding_is_read_by_no_verb(name, rng):
    c = case(CELLS[name], rng, steps=6, batch=4)
    params, initial = group(c.point, "params"), group(c.point, "initial")
    lengths = np.array([6, 0, 3, 1])
    never = np.zeros((6, 4), bool)
    clean = rd.forward(c.cell, params, c.x, initial=initial, lengths=lengths, reset=never)
    dirty = rd.forward(
        c.cell,
        params,
        padded(clean, c.x, np.nan),
        initial=initial,
        lengths=lengths,
        reset=~clean.mask,  # nor is a reset there
    )
    same(dirty.output, clean.output)
    d_output, d_x, du = (rng.standard_normal(a.shape) for a in (clean.output, c.x, clean.output))
    bad_output, bad_x, bad_du = (padded(clean, a, np.inf) for a in (d_output, d_x, du))
    for slot in c.cell.state:
        same(dirty.states[slot], clean.states[slot])
        same(clean.states[slot][5, 1], initial[slot][1])  # held
        same(clean.states[slot][5, 2], clean.states[slot][2, 2])
        same(rd.jvp(dirty, d_x=bad_x).states[slot], rd.jvp(clean, d_x=d_x).states[slot])
    assert not clean.output[~clean.mask].any()
    pairs = [
        (rd.backward(dirty, bad_output), rd.backward(clean, d_output)),
        (rd.hvp(dirty, bad_output, None, bad_du, d_x=bad_x), rd.hvp(clean, d_output, None, du, d_x=d_x)),
    ]
    for a, b in pairs:
        same(a.x, b.x)
        assert not a.x[~clean.mask].any()
        for key in params:
            same(a.params[key], b.params[key])
        for slot in c.cell.state:
            same(a.initial[slot], b.initial[slot])
    J = rd.jacobian(dirty)
    same(J, rd.jacobian(clean))
    assert (J[~clean.mask] == np.eye(J.shape[-1])).all()


@by_name
def test_a_sequence_in_a_ragged_batch_gives_what_it_gives_alone(name, rng):
    c = case(CELLS[name], rng, steps=6, batch=3)
    params, initial = group(c.point, "params"), group(c.point, "initial")
    run = rd.forward(c.cell, params, c.x, initial=initial, lengths=[2, 6, 5])
    d_final = drawn(rng, run.final)
    grads = rd.backward(run, d_final=d_final)
    for b, n in enumerate((2, 6, 5)):
        alone = rd.forward(c.cell, params, c.x[:n, b], initial={s: v[b] for s, v in initial.items()})
        back = rd.backward(alone, d_final={s: v[b] for s, v in d_final.items()})
        same(grads.x[:n, b], back.x)
        for slot in c.cell.state:
            same(run.final[slot][b], alone.final[slot])
            same(grads.initial[slot][b], back.initial[slot])


@by_name
def test_a_reset_starts_the_sequence_anew(name, rng):
    c = case(CELLS[name], rng, steps=6, batch=1)
    params, initial = group(c.point, "params"), {s: v[0] for s, v in group(c.point, "initial").items()}
    reset = np.arange(6) == 4
    whole = rd.forward(c.cell, params, c.x[:, 0], initial=initial, reset=reset)
    pieces = [rd.forward(c.cell, params, c.x[part, 0], initial=initial) for part in (slice(4), slice(4, 6))]
    same(whole.output, np.concatenate([piece.output for piece in pieces]))
    d = rng.standard_normal(whole.output.shape)
    grads = rd.backward(whole, d)
    backs = [rd.backward(pieces[0], d[:4]), rd.backward(pieces[1], d[4:])]
    np.testing.assert_allclose(grads.x, np.concatenate([back.x for back in backs]), rtol=1e-12, atol=1e-14)
    for slot in c.cell.state:
        np.testing.assert_allclose(
            grads.initial[slot], sum(b.initial[slot] for b in backs), rtol=1e-13, atol=1e-15
        )


@by_name
def test_a_network_runs_by_itself_as_with_an_input_of_zeros(name, rng):
    c = case(CELLS[name], rng, batch=3)
    params, initial = group(c.point, "params"), group(c.point, "initial")
    alone = rd.forward(c.cell, params, steps=5, initial=initial)
    zeros = rd.forward(c.cell, params, np.zeros((5, 3, c.x.shape[-1])), initial=initial)
    assert alone.x is None
    assert alone.batch_size == 3  # read off the initial state
    same(alone.output, zeros.output)
    grads, wanted = rd.backward(alone, alone.output), rd.backward(zeros, zeros.output)
    assert grads.x is None
    same(grads.params["U"], wanted.params["U"])
    same(rd.jacobian(alone), rd.jacobian(zeros))
    one = rd.forward(c.cell, params, steps=5, initial={s: v[0] for s, v in initial.items()})
    same(one.output, alone.output[:, 0])
    assert rd.forward(c.cell, params, steps=1).output.shape == (1, c.cell.sizes(params)[1])


def test_a_network_without_an_input_has_no_W(rng):
    cell = CELLS["elman"]
    params = cell.init(0, 5, rng, "float64")
    h0 = rng.standard_normal((3, 5))
    run = rd.forward(cell, params, steps=4, initial={"h": h0})
    state = h0
    for t in range(4):
        state = np.tanh(state @ params["U"].T + params["b"])
        np.testing.assert_allclose(run.output[t], state, rtol=1e-13, atol=1e-15)
    assert set(rd.backward(run, run.output).params) == {"U", "b"}


def test_initial_state_of_one_slot_leaves_the_others_at_zero_and_is_shared_by_a_batch(rng):
    c = case(CELLS["lstm"], rng)
    params, c0 = group(c.point, "params"), rng.standard_normal(4)
    run = rd.forward(c.cell, params, c.x, initial={"c": c0})
    assert not run.initial["h"].any()
    same(run.initial["c"], np.tile(c0, (3, 1)))


@pytest.mark.parametrize("few", [1, 1 << 14], ids=["kernel", "numpy"])
@pytest.mark.parametrize("change", ["fortran", "strided", "reversed", "read_only", "unaligned", "list"])
def test_any_layout_of_the_arguments_in_memory_gives_the_same_results(change, few, rng, tune):
    tune(min_compiled_copy=few)  # entries from which a kernel copies
    c = case(CELLS["lstm"], rng)

    def other(a):
        if change == "fortran":
            return np.asfortranarray(a)
        if change == "strided":
            return np.repeat(a, 2, axis=-1)[..., ::2]
        if change == "reversed":
            return a[::-1].copy()[::-1]
        if change == "unaligned":
            return np.frombuffer(b"." + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
        if change == "list":
            return a.tolist()
        b = a.copy()
        b.flags.writeable = False
        return b

    others = lambda arrays: {key: other(value) for key, value in arrays.items()}
    params, initial = group(c.point, "params"), group(c.point, "initial")
    wanted = rd.forward(c.cell, params, c.x, initial=initial)
    run = rd.forward(c.cell, others(params), other(c.x), initial=others(initial))
    same(run.output, wanted.output)
    d, d_final = rng.standard_normal(run.output.shape), drawn(rng, run.final)
    back, expected = (
        rd.backward(run, other(d), d_final=others(d_final)),
        rd.backward(wanted, d, d_final=d_final),
    )
    for key in params:
        same(back.params[key], expected.params[key])
    d_params, d_x = drawn(rng, params), rng.standard_normal(c.x.shape)
    same(rd.jvp(run, others(d_params), other(d_x)).output, rd.jvp(run, d_params, d_x).output)
    A = rd.jacobian_operator(run)
    v = rng.standard_normal(A.shape)
    same(A.matvec(other(v)), A.matvec(v))
    same(A.rmatvec(other(v)), A.rmatvec(v))


@by_name
def test_blocks_of_the_jacobians_are_those_of_the_dense_ones(name, rng, tune):
    run = case(CELLS[name], rng, steps=7).run()
    J, A = rd.jacobian(run), rd.jacobian_operator(run)
    tune(jacobian_bytes=2 * J[0].nbytes)  # two steps at a time
    at = {s.name: slice(s.offset, s.offset + s.width) for s in run.tape.layout.slots}
    for after, rows in at.items():
        for before, columns in at.items():
            same(A.block(after, before), J[..., rows, columns])
            same(A.block(after, before, slice(1, 6, 2)), J[1:6:2, :, rows, columns])
            same(A.block(after, before, -1), J[-1][..., rows, columns])
    with refused("before", came="'q'"):
        A.block(next(iter(at)), "q")
    with refused("steps", "7"):
        A.block(*[next(iter(at))] * 2, [9])


@by_name
def test_changing_what_went_into_a_run_does_not_change_the_run(name, rng):
    c = case(CELLS[name], rng)
    params, initial, x = group(c.point, "params"), group(c.point, "initial"), c.x.copy()
    reset, lengths = rng.random((4, 3)) < 0.3, np.array([4, 2, 3])
    run = rd.forward(c.cell, params, x, initial=initial, reset=reset, lengths=lengths)
    d, d_final = rng.standard_normal(run.output.shape), drawn(rng, run.final)
    first, J = gradients(rd.backward(run, d, d_final=d_final), c.point), rd.jacobian(run)
    first = {key: value.copy() for key, value in first.items()}
    for a in (*params.values(), *initial.values(), x):
        a += 1.0
    reset ^= True
    lengths[:] = 1
    second = gradients(rd.backward(run, d, d_final=d_final), c.point)
    for key in first:
        same(second[key], first[key])
    same(rd.jacobian(run), J)


@by_name
def test_backward_twice_and_after_all_other_verbs_gives_the_same_bits(name, rng):
    c = case(CELLS[name], rng, reset=True)
    run = c.run()
    d = rng.standard_normal(run.output.shape)
    before = d.copy()
    first = rd.backward(run, d)
    rd.hvp(run, d, drawn(rng, run.params))
    A = rd.jacobian_operator(run)
    v = rng.standard_normal(A.shape)
    kept = v.copy()
    A.rmatvec(v), A.matvec(v)
    second = rd.backward(run, d)
    for key, value in gradients(first, c.point).items():
        same(gradients(second, c.point)[key], value)
    same(d, before)  # nor is a cotangent written
    same(v, kept)


def test_the_arrays_of_a_run_cannot_be_written(rng):
    for lengths in (False, True):
        run = case(CELLS["lstm"], rng, lengths=lengths).run()
        views = [run.output, run.x, *run.params.values(), *run.states.values(), *run.initial.values()]
        views += [*run.final.values(), *run.drives.values()]
        for a in views:
            with pytest.raises(ValueError, match="read-only"):
                a[...] = 0


@pytest.mark.parametrize("options", [{}, {"lengths": True}, {"reset": True}])
def test_drives_are_what_the_gates_see(options, rng):
    c = case(CELLS["lstm"], rng, **options)
    run, p = c.run(), group(c.point, "params")
    h = Views(run.tape.before, run.tape.layout.slots)["h"]
    wanted = np.split(run.x @ p["W"].T + h @ p["U"].T + p["b"], 4, axis=-1)
    within = 1.0 if run.within is None else run.within
    for drive, value in zip(("i", "f", "g", "o"), wanted):
        np.testing.assert_allclose(run.drives[drive], within * value, rtol=1e-12, atol=1e-13)


def test_a_drive_gives_its_place_to_the_one_value_that_is_read_of_it(rng):
    """Not where it is read otherwise too: by a product, for a normalization, in a derivative."""
    run = case(CELLS["lstm"], rng).run()
    kept = Views(run.tape.values, run.tape.layout.preactivations)
    for gate in "ifo":
        np.testing.assert_allclose(kept[gate], sigmoid(run.drives[gate]), rtol=1e-13)
    np.testing.assert_allclose(kept["g"], np.tanh(run.drives["g"]), rtol=1e-13)
    for make, wanted in {
        rd.cells.gru: {"z", "r"},  # of n the two sides are kept apart
        rd.cells.gru_reset_before: {"z", "r", "n"},
        rd.cells.lstm_peephole: {"g"},
        rd.cells.linear: set(),
        lambda: rd.cells.elman("softplus"): set(),
        lambda: rd.cells.lstm().with_normalization(): set(),
    }.items():
        cell = make()
        assert set(overwritable_drives(cell.schedule, cell)) == wanted, cell.name


def test_drives_of_one_operand_are_one_product():
    tall = [(rd.cells.lstm, [20]), (rd.cells.gru, [10, 5]), (rd.cells.elman, [5])]
    for make, rows in tall:
        table = tables.products(make(), make().layout(3, 5))
        assert table[:, tables.ROWS].tolist() == rows
    parted = rd.cells.lstm().with_structure(rd.cells.heads(5))
    assert tables.products(parted, parted.layout(3, 5))[:, tables.ROWS].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", [*CELLS, pytest.param("mut1", marks=pytest.mark.full)])
def test_gradients_do_not_depend_on_how_many_steps_the_large_products_take_at_once(
    name, lengths, rng, monkeypatch
):
    """Up to rounding: a gradient of a parameter is a sum over all steps. MUT1 reads its input as a signal."""
    cell = CELLS[name] if name in CELLS else getattr(rd.cells, name)()
    c = case(cell, rng, steps=11, batch=3, hidden=6, lengths=lengths)
    run = c.run()
    d = rng.standard_normal(run.output.shape)
    whole = gradients(rd.backward(run, d), c.point)
    # No threshold: the planner makes pieces of whole blocks of rows, and this run has fewer rows than one block.
    for together in (1, 2, 4, 10):
        monkeypatch.setattr(backward_pass, "_steps_at_once", lambda tape, groups, n=together: n)
        for key, value in gradients(rd.backward(run, d), c.point).items():
            np.testing.assert_allclose(value, whole[key], rtol=1e-12, atol=1e-13, err_msg=str(key))
