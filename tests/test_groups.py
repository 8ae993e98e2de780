"""Gradients summed in groups of instances: the rows of each, and that any grouping gives the same gradients."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from cell_checks import case

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cpu import backward_pass, groups, work_split
from recurrent_dynamics.kernels.microkernel import TILE_ROWS
from recurrent_dynamics.kernels.product import HALF_TILE
from recurrent_dynamics.kernels.tuning import DEFAULT

same = np.testing.assert_array_equal


def tape_of(rng, batch, lengths=None, steps=6, classes=False):
    cell = rd.cells.lstm()
    x = rng.integers(0, 5, (steps, batch)) if classes else rng.standard_normal((steps, batch, 5))
    run = rd.forward(cell, cell.init(5, 7, rng, "float64"), x, lengths=lengths)
    return run, rng.standard_normal(run.output.shape)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("ragged", [False, True])
def test_groups_split_the_active_rows_by_instances_in_equal_shares(count, ragged, rng):
    batch = 11
    lengths = np.array([6, 0, 5, 1, 1, 6, 2, 2, 3, 6, 6]) if ragged else None
    tape = tape_of(rng, batch, lengths)[0].engine_tape
    index, ends = groups.grouped_rows(tape.steps, tape.batch, tape.lengths, count)
    same(index[:TILE_ROWS], np.arange(TILE_ROWS))
    same(np.sort(index[TILE_ROWS:]), groups.active_rows(tape)[TILE_ROWS:])
    assert len(ends) == count + 1
    assert ends[0] == 0
    assert ends[-1] == len(index) - TILE_ROWS
    parts = [index[TILE_ROWS:][a:b] for a, b in pairwise(ends)]
    assert all((np.diff(part) > 0).all() for part in parts), "in the order of time"
    largest = [part % batch for part in parts if len(part)]
    assert all(a.max() < b.min() for a, b in pairwise(largest))
    longest = batch if lengths is None else max(lengths)
    assert max(map(len, parts)) <= len(index[TILE_ROWS:]) / count + longest


@pytest.mark.parametrize("how", ["numbers", "classes", "lengths", "empty", "resets"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_any_grouping_gives_the_same_gradients_and_the_same_bits_for_any_number_of_threads(
    how, count, rng, tune, set_threads
):
    tune(min_parallel_flops=0)
    lengths = {"lengths": rng.integers(1, 7, 9), "empty": np.array([0, 0, 0, 0, 0, 0, 0, 6, 2])}.get(how)
    run, d = tape_of(rng, 9, lengths, classes=how == "classes")
    if how == "resets":
        c = case(rd.cells.gru(), rng, steps=6, batch=9, inputs=3, hidden=5, reset=True)
        run = c.run()
        d = rng.standard_normal(run.output.shape)

    def gradients(of):
        tune(gradient_groups=of, min_group_instances=1)
        assert groups.group_count(run.engine_tape) == of
        grads = rd.backward(run, d)
        return [*grads.params.values()] + ([] if grads.x is None else [grads.x])

    one = gradients(1)
    came = []
    for threads in (1, 2, 3, 4, 7):
        set_threads(threads)
        several = gradients(count)
        for a, b in zip(several, one, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-13 * max(1, np.abs(b).max()))
        came.append([a.tobytes() for a in several])
    assert all(results == came[0] for results in came)


@pytest.mark.parametrize("how", ["numbers", "classes", "lengths", "ended", "empty"])
def test_several_pieces_of_a_walk_add_up_in_every_group(how, rng, tune, set_threads):
    """Also where no sequence reaches the last piece, or none of a group is longer than 0."""
    tune(min_parallel_flops=0)
    lengths = {
        "lengths": rng.integers(1, 104, 9), "ended": np.full(9, 7), "empty": np.array([0] * 7 + [103, 30])
    }.get(how)  # fmt: skip
    run, d = tape_of(rng, 9, lengths, classes=how == "classes", steps=103)
    whole = rd.backward(run, d)
    tune(min_piece_bytes=1, min_piece_bytes_ungrouped=1, min_piece_flops=1)
    assert [backward_pass._steps_at_once(run.engine_tape, count) for count in (1, 2)] == [21, 52]
    came = []
    for groups_, threads in ((1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)):
        tune(gradient_groups=groups_, min_group_instances=1)
        set_threads(threads)
        grads = rd.backward(run, d)
        arrays = [*grads.params.values()] + ([] if grads.x is None else [grads.x])
        for a, b in zip(arrays, [*whole.params.values(), whole.x], strict=grads.x is not None):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1, np.abs(b).max()))
        came.append([a.tobytes() for a in arrays])
    assert all(results == came[0] for results in came[:3])
    assert all(results == came[3] for results in came[3:])


def test_pieces_are_cut_by_their_bytes_and_their_work(rng, tune):
    tune(min_piece_bytes=1, min_piece_flops=1)
    tape = tape_of(rng, 9, steps=100)[0].engine_tape
    assert backward_pass._steps_at_once(tape, 2) < 100


def test_a_part_of_the_steps_may_be_split_in_another_way_than_all_of_them(rng, tune, set_threads):
    """All steps are shared by units, the last few are too little work for that."""
    tune(min_worker_bytes=1, min_piece_bytes_ungrouped=1, min_piece_flops=1)
    cell = rd.cells.lstm()
    run = rd.forward(cell, cell.init(3, 8, rng, "float64"), rng.standard_normal((1001, 1, 3)))
    tape, d = run.engine_tape, rng.standard_normal(run.output.shape)
    together = backward_pass._steps_at_once(tape, 1)
    rest = tape.steps - (tape.steps - 1) // together * together
    tune(min_parallel_flops=(rest + 1) * work_split.step_flops(tape.layout))
    assert rest + 1 < together
    came = []
    for threads in (1, 2):
        set_threads(threads)
        assert work_split.choose_split(tape)[0] == (threads == 2)
        grads = rd.backward(run, d)
        came.append([grads.x.tobytes(), *(a.tobytes() for a in grads.params.values())])
    assert came[0] == came[1]


def test_large_gradients_by_class_are_not_grouped(rng, tune):
    tape = tape_of(rng, 2 * HALF_TILE, classes=True)[0].engine_tape
    assert groups.group_count(tape) == 2
    tune(max_grouped_bytes=8 * 28 * (5 + 7) - 1)
    assert groups.group_count(tape) == 1


def test_small_gradients_of_enough_instances_are_grouped(rng, tune):
    assert DEFAULT.min_group_instances == HALF_TILE
    count = lambda batch: groups.group_count(tape_of(rng, batch)[0].engine_tape)
    assert [count(2 * HALF_TILE - 1), count(2 * HALF_TILE)] == [1, 2]
    tune(max_grouped_bytes=8 * 28 * (5 + 7) - 1)
    assert count(2 * HALF_TILE) == 1
