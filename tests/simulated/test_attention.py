"""Cells that read a memory, in Numba's simulator: against the frozen reference and against the CPU engine."""

from __future__ import annotations

from dataclasses import replace

import cell_checks
import numpy as np
import pytest
from cell_variants import VARIANTS
from device_cases import SMALL, case, check
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.cells import attention, elman
from recurrent_dynamics.engine.cuda import verbs

READERS = [name for name, variant in VARIANTS.items() if variant.cell.memory and "simulated" in variant.tiers]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(verbs, "current_device", lambda: SMALL)


def cell_of(name):
    return VARIANTS[name].cell


def tiny(name, rng, **options):
    return case(
        cell_of(name), rng, **{"steps": 3, "batch": 2, "inputs": 2, "hidden": 3, "source": 3} | options
    )


def given(c, device, **changes):
    options = {
        "initial": cell_checks.group(c.point, "initial"), "lengths": c.lengths, "reset": c.reset,
        "signals": cell_checks.group(c.point, "signals"), "memory": cell_checks.group(c.point, "memory"),
        "memory_lengths": c.memory_lengths,
    }  # fmt: skip
    return rd.forward(c.cell, cell_checks.group(c.point, "params"), c.x, device=device, **options | changes)


def same_as_on_the_cpu(c, rng, tolerance=1e-12, **changes):
    """States, weights and every gradient of the run on the device are those of the CPU engine."""
    ours, wanted = (given(c, device, **changes) for device in ("cuda", "cpu"))
    d = {slot: rng.standard_normal(a.shape).astype(a.dtype) for slot, a in wanted.states.items()}
    for slot in c.cell.state:
        cell_checks.close(slot, ours.states[slot], wanted.states[slot], tolerance)
    assert ours.alignments.keys() == wanted.alignments.keys()
    for name, a in wanted.alignments.items():
        cell_checks.close(name, ours.alignments[name], a, tolerance)
    back, expected = rd.backward(ours, d_states=d), rd.backward(wanted, d_states=d)
    for kind in ("params", "initial", "memory", "signals", "states"):
        for name, a in getattr(expected, kind).items():
            found = getattr(back, kind)[name]
            assert found.dtype == a.dtype
            cell_checks.close(f"gradient by {kind} {name}", found, a, tolerance)
    cell_checks.close("gradient by x", back.x, expected.x, tolerance)
    return ours, back


@pytest.mark.parametrize("name", ["attention", pytest.param("attention_after", marks=pytest.mark.full)])
def test_every_verb_against_the_reference(name, rng):
    c = tiny(name, rng)
    assert {verbs.planned(c.run().engine_tape, verb).kind for verb in ("forward", "tangent", "adjoint")} == {
        "steps"
    }
    check(c, rng)


@pytest.mark.parametrize("name", READERS)
def test_lengths_resets_and_padding(name, rng):
    quick = name in ("attention", "attention_monotonic", "gated reader")
    c = tiny(name, rng, lengths=True, reset=quick)
    same_as_on_the_cpu(c, rng)


@pytest.mark.full
@pytest.mark.parametrize("name", READERS)
def test_larger_sources(name, rng):
    """More positions than threads, more units than a part of a sum."""
    c = tiny(name, rng, hidden=37, source=41)
    same_as_on_the_cpu(c, rng, 1e-11)
    cell_checks.check_tangent(c, rng)


def test_one_position_and_empty_sources(rng):
    c = tiny("attention", rng, source=1)
    run, _ = same_as_on_the_cpu(c, rng, memory_lengths=np.array([1, 1]))
    assert (run.attention == 1).all()
    run, back = same_as_on_the_cpu(c, rng, memory_lengths=np.array([0, 1]))
    assert not run.attention[:, 0].any()
    assert not run.states["context"][:, 0].any()
    assert not back.memory["keys"][:, 0].any()
    nothing = {name: a[:0] for name, a in cell_checks.group(c.point, "memory").items()}
    run, back = same_as_on_the_cpu(c, rng, memory=nothing, memory_lengths=None)
    assert run.attention.shape == (3, 2, 0)
    assert back.memory["keys"].shape == (0, 2, 3)
    assert not back.params["v"].any()


def test_one_sequence_and_shared_memories(rng):
    c = tiny("attention", rng, batch=3)
    memory = {name: a[:, :2] for name, a in cell_checks.group(c.point, "memory").items()}
    _, back = same_as_on_the_cpu(
        c, rng, memory=memory, memory_lengths=np.array([3, 2]), memory_of=np.array([1, 0, 1])
    )
    assert back.memory["values"].shape == (3, 2, 5)
    alone = {name: a[:, 0] for name, a in memory.items()}
    params = cell_checks.group(c.point, "params")
    runs = [rd.forward(c.cell, params, c.x[:, 0], memory=alone, device=device) for device in ("cuda", "cpu")]
    cell_checks.close("output", runs[0].output, runs[1].output, 1e-12)
    assert runs[0].attention.shape == (3, 3)
    found, wanted = (rd.backward(run, np.ones(run.output.shape)).memory["keys"] for run in runs)
    cell_checks.close("gradient by keys", found, wanted, 1e-12)


def test_padding_is_not_read(rng):
    c = tiny("attention", rng)
    lengths, padded = np.array([2, 0]), {k: a.copy() for k, a in cell_checks.group(c.point, "memory").items()}
    for a in padded.values():
        a[np.arange(3)[:, None] >= lengths] = np.nan
    clean, dirty = (
        given(c, "cuda", memory_lengths=lengths, **changes) for changes in ({}, {"memory": padded})
    )
    assert (clean.output == dirty.output).all()


def test_float32_stays_float32(rng):
    same_as_on_the_cpu(tiny("attention", rng).astype("float32"), rng, 1e-5)


def test_the_same_bits_for_any_number_of_threads(monkeypatch, rng):
    """Sums have an order of their own, that of the threads plays no part."""
    c, found = tiny("attention_covering", rng, hidden=5, source=4), []
    d = rng.standard_normal(c.run().output.shape)
    for threads in (2, 7):
        monkeypatch.setattr(verbs, "current_device", lambda n=threads: replace(SMALL, threads=n, lanes=1))
        run = c.run()
        grads = rd.backward(run, d)
        found.append([run.output, grads.x, *grads.params.values(), *grads.memory.values()])
    assert verbs.planned(run.engine_tape, "forward").threads == 3  # half of 7, as numbers are float64
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


class Tensor:
    """An array of another library that lies on the device."""

    def __init__(self, array):
        self.array, self.shape, self.__cuda_array_interface__ = array, array.shape, {}

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_a_memory_on_the_device_stays_there(monkeypatch, rng):
    c = tiny("attention_dot", rng)
    memory = {name: Tensor(a) for name, a in cell_checks.group(c.point, "memory").items()}
    with monkeypatch.context() as patch:
        patch.setattr(verbs, "to_host", lambda a: pytest.fail("copied to the host"))
        run = rd.forward(c.cell, cell_checks.group(c.point, "params"), c.x, memory=memory)
        assert run.device == "cuda"
        grads = rd.backward(run, np.ones(run.output.shape))
    assert grads.memory["keys"].shape == memory["keys"].shape


def test_what_cannot_be_done_is_refused(rng):
    c = tiny("attention", rng)
    run = c.run()
    with refused("run", "attention", "'cuda'"):
        rd.jacobian(run)
    with refused("run", "hvp", "'cuda'"):
        rd.hvp(run, run.output)
    single = c.astype("float32")
    with refused("tape_dtype", "attention", "bfloat16"):
        single.run(tape_dtype="bfloat16")
    with refused("tape", "True", "False"):
        c.run(tape=False)


def test_a_run_is_taken_apart_on_the_host(rng):
    c = tiny("attention", rng)
    ours, wanted = given(c, "cuda"), given(c, "cpu")
    operators = [rd.jacobian_operator(run) for run in (ours, wanted)]
    v = rng.standard_normal(operators[0].shape)
    cell_checks.close("J v", operators[0].matvec(v), operators[1].matvec(v), 1e-12)


def test_scores_of_many_terms_are_refused_where_their_sums_do_not_fit(monkeypatch, rng):
    c = case(attention(elman(), location=9), rng, source=3)
    monkeypatch.setattr(verbs, "current_device", lambda: replace(SMALL, shared_bytes=1 << 10))
    with pytest.raises(ValueError, match=r"forward walk of cell .* keeps \d+ bytes of sums .* has 1024"):
        c.run()
