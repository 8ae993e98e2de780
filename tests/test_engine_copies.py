"""What a run keeps of what it was given: finite copies, of the parameters in the places where the engine reads them."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numba import set_num_threads
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell, Drive
from recurrent_dynamics.engine import arguments, flatten
from recurrent_dynamics.engine.cpu import verbs
from recurrent_dynamics.engine.linear import packed_linear
from recurrent_dynamics.equations import tanh
from recurrent_dynamics.kernels import copying
from recurrent_dynamics.kernels.tuning import tuning
from recurrent_dynamics.training.tree import named_leaves

same = np.testing.assert_array_equal
by_few = pytest.mark.parametrize("few", [1, 1 << 14], ids=["kernel", "numpy"])


@by_few
def test_kernel_and_numpy_place_the_same(few, rng, tune):
    tune(min_compiled_copy=few)
    a, out = rng.standard_normal((5, 3, 4)), np.full((5, 3, 9), np.nan)
    assert verbs.add_columns(a, out, 2, fresh=True)
    same(out[..., 2:6], a)
    assert not out[..., :2].any()
    assert not out[..., 6:].any()
    b = rng.standard_normal((15, 9))
    assert verbs.add_columns(b[:, ::-1], out, 0, fresh=False)
    wanted = b[:, ::-1].reshape(5, 3, 9).copy()
    wanted[..., 2:6] += a
    same(out, wanted)
    a[4, 2, 3] = np.nan
    assert not verbs.add_columns(a, out, 0, fresh=False)


@by_few
@pytest.mark.parametrize(
    "cut", [np.s_[:, :, 1:4], np.s_[:, ::2], np.s_[::2, :, :3], np.s_[:, :, ::2], np.s_[::-1]]
)
@pytest.mark.parametrize("writeable", [True, False])
def test_what_is_placed_may_lie_anyhow(cut, writeable, few, rng, tune):
    tune(min_compiled_copy=few)
    a = rng.standard_normal((6, 4, 5))[cut]
    a.setflags(write=writeable)
    out = np.full((*a.shape[:2], 7), np.nan)
    assert verbs.add_columns(a, out, 1, fresh=True)
    same(out[..., 1 : 1 + a.shape[2]], a)
    swapped = np.full((a.shape[1], a.shape[0], a.shape[2]), np.nan)
    assert copying.copy_vectors(a.swapaxes(0, 1), swapped)
    same(swapped, a.swapaxes(0, 1))
    assert copying.concatenated([a, swapped.swapaxes(0, 1)]).tobytes() == np.concatenate([a, a], -1).tobytes()


@by_few
def test_what_lies_beyond_the_end_of_a_sequence_counts_as_zero(few, rng, tune):
    tune(min_compiled_copy=few)
    a, out, ends = rng.standard_normal((5, 4, 3)), np.full((5, 4, 6), np.nan), np.array([5, 0, 2, 4])
    beyond = np.arange(5)[:, None] >= ends
    a[beyond] = np.nan
    assert verbs.add_columns(a, out, 1, True, ends)
    same(out[..., 1:4], np.where(beyond[..., None], 0, a))
    out[...] = 1
    assert verbs.add_columns(a, out, 1, False, ends)
    same(out[..., 1:4], np.where(beyond[..., None], 1, 1 + a))
    a[3, 3] = np.inf
    assert not verbs.add_columns(a, out, 1, False, ends)


@settings(max_examples=30)
@given(
    st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(1, 20)), st.integers(0, 2**32 - 1), st.booleans(),
    st.sampled_from(["float32", "float64", "int64"]), st.integers(1, 3),
)  # fmt: skip
def test_each_sequence_is_turned_at_its_own_end(sizes, seed, ragged, dtype, threads):
    rng = np.random.default_rng(seed)
    a = (100 * rng.standard_normal(sizes)).astype(dtype)[..., : sizes[2] // 2 + 1]
    ends = rng.integers(0, sizes[0] + 1, sizes[1])
    wanted = a.copy() if ragged else a[::-1]
    for b, end in enumerate(ends if ragged else ()):
        wanted[:end, b] = a[:end, b][::-1]
    set_num_threads(threads)
    for few in (1, 1 << 14):
        with tuning(min_compiled_copy=few, min_parallel_flops=0):
            same(copying.turned(a, ends) if ragged else copying.turned(a), wanted)


@by_few
@pytest.mark.parametrize("shape", [(9, 1, 4), (9, 4), (9,)])
def test_one_sequence_and_repeated_rows_are_placed(shape, few, rng, tune, set_threads):
    tune(min_compiled_copy=few, min_parallel_flops=0)
    set_threads(3)
    a, out = rng.standard_normal(shape), np.full(shape, np.nan)
    for placed in (a, np.broadcast_to(a[:1], shape)):
        assert verbs.add_columns(placed, out, 0, fresh=True)
        same(out, placed)


@by_few
@pytest.mark.parametrize("single", [False, True])
def test_what_is_not_finite_is_located(few, single, rng, tune):
    tune(min_compiled_copy=few)
    cell = rd.cells.lstm()
    params, x = cell.init(3, 4, rng, "float64"), rng.standard_normal((5, 3) if single else (5, 2, 3))
    run = rd.forward(cell, params, x)

    def located(name, a, index, call):
        a[index] = np.inf
        with refused(name, "be finite", f"inf at index {index}"):
            call()

    for name in params:
        bad = {key: value.copy() for key, value in params.items()}
        index = (1, 2)[: bad[name].ndim]
        located(f"params[{name!r}]", bad[name], index, lambda bad=bad: rd.forward(cell, bad, x))
    bad_x, d = x.copy(), rng.standard_normal(run.output.shape)
    located("x", bad_x, (4, 1)[: x.ndim] if single else (4, 1, 0), lambda: rd.forward(cell, params, bad_x))
    located("d_output", d, (3, 1) if single else (3, 1, 0), lambda: rd.backward(run, d))


@by_few
@pytest.mark.parametrize("make", [rd.cells.lstm, rd.cells.gru, rd.cells.mut2, rd.cells.linear])
def test_parameters_are_copied_once_into_their_places(few, make, rng, tune):
    tune(min_compiled_copy=few)
    cell = make()
    params = {name: rng.standard_normal(a.shape) for name, a in cell.init(3, 5, rng, "float64").items()}
    given = {name: a.copy() for name, a in reversed(params.items())}
    layout = cell.layout(3, 5)
    flat, own = arguments.own_parameters(verbs, layout, given, np.dtype(np.float64))
    for came, wanted in zip(flat, flatten.flatten(layout, params, np.dtype(np.float64)), strict=True):
        same(came, wanted)
    assert list(own) == list(given)
    back = flatten.unflatten(layout, flat)
    assert list(back) == list(layout.shapes)
    for name, a in params.items():
        given[name][...] = np.nan
        same(own[name], a)
        same(back[name], a)
    assert all(own[name].base is not None for name in layout.matrices), "views, no further copies"


@pytest.mark.parametrize("make", [rd.cells.lstm, rd.cells.gru, rd.cells.mut2, rd.cells.linear])
def test_parameters_are_used_where_they_lie_if_they_can_be(make, rng):
    cell, dtype = make(), np.dtype(np.float64)
    layout = cell.layout(3, 5)
    params = {name: rng.standard_normal(a.shape) for name, a in cell.init(3, 5, rng, "float64").items()}
    flat, own = arguments.own_parameters(verbs, layout, params, dtype, copy=False)
    for came, wanted in zip(flat, flatten.flatten(layout, params, dtype), strict=True):
        same(came, wanted)
    assert list(own) == list(params)
    for name, a in params.items():
        same(own[name], a)
        assert np.shares_memory(own[name], a) == (name in flatten.stored_whole(layout))
    for name, a in params.items():
        strided = np.repeat(a, 2, axis=-1)[..., ::2]
        read_only = a.copy()
        read_only.setflags(write=False)
        for other in (strided, read_only):
            own = arguments.own_parameters(verbs, layout, {**params, name: other}, dtype, copy=False)[1]
            same(own[name], a)
            assert not np.shares_memory(own[name], other), "compiled code does not take it as it is"


def test_a_run_without_copies_of_the_parameters_is_the_same_and_reads_them_where_they_lie(rng):
    cell = rd.cells.lstm()
    params, x = cell.init(3, 4, rng, "float64"), rng.standard_normal((5, 2, 3))
    run, lean = (rd.forward(cell, params, x, copy_params=copied) for copied in (True, False))
    same(lean.output, run.output)
    d = rng.standard_normal(run.output.shape)
    first, second = rd.backward(run, d), rd.backward(lean, d)
    for name in params:
        same(second.params[name], first.params[name])
        assert np.shares_memory(lean.params[name], params[name])
        assert not np.shares_memory(run.params[name], params[name])
    with pytest.raises(ValueError, match="read-only"):
        lean.params["U"][0, 0] = 1.0
    params["U"][1, 2] = np.nan
    with refused("params['U']", came="nan at index (1, 2)"):
        rd.forward(cell, params, x, copy_params=False)
    assert np.isnan(rd.forward(cell, params, x, copy_params=False, check_finite=False).output).any()


def test_what_tied_drives_share_is_copied_always(rng):
    """A flat array then holds it twice."""
    later = Drive("m", input=False, bias=False, tied="n")
    cell = Cell("two", ("h",), ("n", later), lambda drive, state: {"h": drive.m(state.h + tanh(drive.n))})
    layout, dtype = cell.layout(3, 4), np.dtype(np.float64)
    params = {name: rng.standard_normal(shape) for name, shape in layout.shapes.items()}
    flat, own = arguments.own_parameters(verbs, layout, params, dtype, copy=False)
    assert "U" not in flatten.stored_whole(layout)
    assert not np.shares_memory(own["U"], params["U"])
    for came, wanted in zip(flat, flatten.flatten(layout, params, dtype), strict=True):
        same(came, wanted)


def test_a_cell_without_input_and_bias_needs_no_copies(rng):
    cell = rd.cells.linear()
    params = cell.init(input_size=0, hidden_size=3, rng=rng, dtype="float64")
    runs = [
        rd.forward(cell, params, steps=4, initial={"h": np.ones(3)}, copy_params=copied)
        for copied in (True, False)
    ]
    same(runs[1].output, runs[0].output)
    d = rng.standard_normal(runs[0].output.shape)
    same(rd.backward(runs[1], d).params["U"], rd.backward(runs[0], d).params["U"])


@pytest.mark.parametrize("choice", [None, {"U.n": rd.parametrize.cayley}])
def test_a_model_without_copies_computes_the_same(choice, rng):
    model = rd.nn.Model(
        [rd.cells.gru(), rd.cells.elman()], hidden_size=4, vocabulary_size=5, parametrize=[choice, None]
    )
    params, batch = model.init(rng, "float64"), (rng.integers(0, 5, (6, 3)), rng.integers(0, 5, (6, 3)))
    (loss, _, wanted), (again, _, came) = (
        model.differentiate(params, batch, copy_params=copied) for copied in (True, False)
    )
    assert loss == again
    for (name, a), (_, b) in zip(named_leaves(wanted.params), named_leaves(came.params), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_parts_that_stand_apart_are_put_together():
    layout = rd.cells.mut2().layout(3, 5)
    assert len(flatten.places(layout)["b"].stretches) > 1
    params = {name: 1.0 + np.arange(np.prod(shape)).reshape(shape) for name, shape in layout.shapes.items()}
    flat = flatten.flatten(layout, params, np.dtype(np.float64))
    for part in layout.preactivations:
        if part.bias:
            assert flat.bias[part.offset : part.offset + part.width].all()
        else:
            assert not flat.bias[part.offset : part.offset + part.width].any()
    same(flatten.unflatten(layout, flat)["b"], params["b"])


def test_absent_parameters_count_as_zero():
    layout = rd.cells.gru().layout(2, 3)
    flat = flatten.flatten(layout, {"b": np.ones(9)}, np.dtype(np.float64))
    assert not flat.W.any()
    assert not flat.matrices.any()
    assert flat.bias.sum() == 9.0


def test_arrays_of_other_shapes_are_left_to_numpy(tune):
    tune(min_compiled_copy=1)
    a, shorter = np.ones((6, 2, 3)), np.ones((3, 2, 3))
    with pytest.raises(ValueError, match="dimensions"):
        copying.concatenated([a, shorter])
    out = np.zeros((6, 2, 3))
    copying.copy_vectors(np.ones((1, 2, 3)), out)
    assert out.all()
    swapped = np.zeros((3, 4, 2, 5)).swapaxes(0, 1)
    copying.copy_vectors(np.ones((4, 3, 2, 5)), swapped)
    assert swapped.all()


def test_one_step_from_its_end_is_a_copy():
    a = np.ones((1, 2, 3))
    assert not np.shares_memory(copying.turned(a), a)


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (3, 2)])
def test_a_linear_map_of_nothing_is_its_bias(shape):
    bias = np.arange(float(shape[0]))
    found = packed_linear(np.ones(shape), bias)(np.ones((4, shape[1])))
    np.testing.assert_array_equal(found, np.tile(bias + shape[1], (4, 1)))
