"""Cells that read a memory at every step: every verb against the reference, borders of the source, and PyTorch."""

from __future__ import annotations

import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
from cell_checks import case, check, check_backward, check_forward, check_second, check_tangent, close, group
from hypothesis import given, settings
from odd_readers import READERS
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Memory, Slot, attention, gru, lstm
from recurrent_dynamics.engine.cpu.backward_pass import _steps_at_once
from recurrent_dynamics.equations import DefinitionError, over_positions, over_units, softmax, tanh
from recurrent_dynamics.equations.derive import Derivation
from recurrent_dynamics.equations.reads import Contraction, reads_of

CELLS = {
    "additive": attention(lstm(), keys="3", values="5"),
    "general after": attention(gru(), "general", "after", values="2"),
    "own": READERS["gated reader"],
    "monotonic": attention(rd.cells.elman(), weights="monotonic", location=1, keys="3", values="2"),
}
MORE = {
    "dot": attention(lstm(), "dot"),
    "covering": attention(gru(), location=2, coverage=True, query="after", values="3"),
    "pointer": attention(lstm(), "general", "after", alignment=True),
    "dot after": attention(lstm(), "dot", "after", values="3"),
    "unfed": attention(gru(), "additive", "after", input_feeding=False, values="2"),
    "called": attention(rd.cells.gru_reset_before(), "general", values="4"),
    "given": attention(rd.cells.elman(), lambda keys, h: over_units(tanh(keys * h)), "after"),
}
quick = pytest.mark.parametrize("name", CELLS)


def verbs(c, run):
    """The results of all verbs of a run, as bytes."""
    rng = np.random.default_rng(3)
    d = rng.standard_normal(run.output.shape).astype(run.dtype)
    memory = {
        name: rng.standard_normal(a.shape).astype(run.dtype) for name, a in group(c.point, "memory").items()
    }
    grads = rd.backward(run, d)
    second = rd.hvp(run, d, d_memory=memory)
    found = [run.output, rd.jvp(run, d_memory=memory).output, rd.jacobian(run)]
    for g in (grads, second):
        found += [*g.params.values(), *g.memory.values(), g.x]
    return [a.tobytes() for a in found]


@quick
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("reset", [False, True], ids=["unbroken", "reset"])
def test_every_entry_of_every_derivative_equals_a_complex_step_on_the_reference(name, lengths, reset, rng):
    check(case(CELLS[name], rng, lengths=lengths, reset=reset), rng)


@pytest.mark.full
@pytest.mark.parametrize("name", MORE)
def test_every_entry_of_the_other_scores(name, rng):
    check(case(MORE[name], rng, lengths=True), rng)


@settings(max_examples=12)
@given(
    st.sampled_from(sorted(CELLS)),
    st.tuples(*[st.integers(1, 6)] * 4),
    st.integers(0, 20),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_derivatives_are_right_for_any_sizes(name, sizes, source, lengths, seed):
    rng = np.random.default_rng(seed)
    c = case(CELLS[name], rng, *sizes, lengths=lengths, source=source)
    check_forward(c)
    check_backward(c, rng, every_entry=False)
    check_tangent(c, rng)
    check_second(c, rng)


@quick
def test_every_verb_gives_the_same_bits_for_any_number_of_threads(name, rng, set_threads):
    c = case(CELLS[name], rng, 12, 9, 5, 40, lengths=True, source=70).astype("float32")
    set_threads(1)
    alone = verbs(c, c.run())
    set_threads(2)
    assert verbs(c, c.run()) == alone


@pytest.mark.parametrize(
    ("name", "waiting", "within"),
    [
        ("additive", {"values"}, {"keys"}),
        ("general after", {"keys", "values"}, set()),
        ("dot", {"keys", "values"}, set()),
        ("own", set(), {"states"}),
        ("given", {"values"}, {"keys"}),
    ],
)
def test_cotangents_of_memories_that_are_read_linearly_wait_for_all_steps(name, waiting, within):
    cell = (CELLS | MORE)[name]
    found = [r for r in reads_of(Derivation(cell), "adjoint") if isinstance(r, Contraction)]
    adds = {(place.variable.name, r.stage > cell.schedule.stages) for r in found for place in r.adds}
    memories = {m.name for m in cell.memory}
    assert {m for m, waits in adds if m in memories and waits} == waiting
    assert {m for m, waits in adds if m in memories and not waits} == within


def test_reads_behind_one_another_are_one_stage_of_a_row():
    """So the memory of an instance is in cache: the products of the query and of the gates alone part its step."""
    schedule = CELLS["additive"].schedule
    kinds = {p.stage: p.kind for p in schedule.products}
    assert list(kinds.values()) == ["linear", "over_units", "softmax", "over_positions", "linear"]
    assert schedule.joined == (0, 1, 1, 1, 1, 5)


def test_rows_and_preactivations_of_the_units_begin_at_lines_of_the_cache():
    layout = attention(lstm()).layout(3, 32, 7)
    assert layout.values_size % 16 == 0
    assert layout.values_size - sum(s.width for s in layout.values) in range(16)
    assert all(p.offset % 16 == 0 for p in layout.preactivations if p.width == 32)
    read = READERS["gated reader"].layout(3, 32, 7)  # with a signal, the last numbers of its rows
    assert read.signals[0].offset + read.signals[0].width == read.values_size


@pytest.mark.parametrize("name", ["additive", "dot"])
def test_pieces_of_the_backward_pass_give_the_memory_the_same_gradient(name, rng, tune):
    c = case((CELLS | MORE)[name], rng, 12, 60, 2, 5, lengths=True, source=7)
    d = rng.standard_normal(c.run().output.shape)
    whole = rd.backward(c.run(), d)
    tune(min_piece_bytes=1, min_piece_bytes_ungrouped=1, min_piece_flops=1)
    assert _steps_at_once(c.run().engine_tape, 1) < 12
    pieces = rd.backward(c.run(), d)
    for key, a in whole.memory.items():
        assert (pieces.memory[key] == a).all(), key


@quick
def test_float32_is_float64_to_rounding(name, rng):
    c = case(CELLS[name], rng, 6, 3, 4, 8, source=9)
    single = c.astype("float32")
    d = rng.standard_normal(c.run().output.shape)
    double, rounded = rd.backward(c.run(), d), rd.backward(single.run(), d.astype("float32"))
    close("output", single.run().output, c.run().output, 1e-5)
    for key in double.params:
        close(key, rounded.params[key], double.params[key], 1e-4)
    for key in double.memory:
        close(key, rounded.memory[key], double.memory[key], 1e-4)


@quick
def test_without_a_tape_the_output_has_the_same_bits(name, rng):
    c = case(CELLS[name], rng, 40, 3, 3, 5)
    run = c.run()
    quick_run = rd.forward(
        c.cell, group(c.point, "params"), c.x, initial=group(c.point, "initial"), tape=False,
        signals=group(c.point, "signals") or None, memory=group(c.point, "memory"), memory_lengths=c.memory_lengths,
    )  # fmt: skip
    assert (quick_run.output == run.output).all()
    with refused("run", came="tape=False"):
        _ = quick_run.attention


def given_run(c, memory=None, memory_lengths=None, **options):
    return rd.forward(
        c.cell, group(c.point, "params"), c.x, memory=group(c.point, "memory") if memory is None else memory,
        memory_lengths=c.memory_lengths if memory_lengths is None else memory_lengths, **options,
    )  # fmt: skip


def test_weights_sum_to_1_over_the_source_of_each_sequence_and_padding_has_weight_0(rng):
    c = case(CELLS["additive"], rng, 4, 5, source=7)
    lengths = np.array([7, 0, 3, 1, 6])
    a = given_run(c, memory_lengths=lengths).attention
    assert a.shape == (4, 5, 7)
    within = np.arange(7) < lengths[:, None]
    assert (a[:, ~within] == 0).all()
    assert (a[:, within] > 0).all()
    np.testing.assert_allclose(a.sum(axis=-1), np.broadcast_to(lengths > 0, (4, 5)), rtol=1e-14)


def test_padding_is_not_read_whatever_it_holds(rng):
    c = case(CELLS["additive"], rng, 4, 3, source=6)
    lengths = np.array([4, 0, 6])
    padded = {name: a.copy() for name, a in group(c.point, "memory").items()}
    for a in padded.values():
        a[np.arange(6)[:, None] >= lengths] = np.nan
    clean, dirty = given_run(c, memory_lengths=lengths), given_run(c, padded, lengths)
    assert (clean.output == dirty.output).all()
    grads = rd.backward(dirty, np.ones(dirty.output.shape)).memory
    for name, a in grads.items():
        assert (a[np.arange(6)[:, None] >= lengths] == 0).all(), name
        assert np.isfinite(a).all()


def test_an_empty_source_reads_zeros_and_has_gradient_0(rng):
    c = case(CELLS["additive"], rng, 4, 3, source=6)
    run = given_run(c, memory_lengths=np.zeros(3, int))
    assert (run.states["context"] == 0).all()
    empty = {name: a[:0] for name, a in group(c.point, "memory").items()}
    assert (given_run(c, empty, np.zeros(3, int)).output == run.output).all()
    grads = rd.backward(run, np.ones(run.output.shape))
    assert all((a == 0).all() for a in grads.memory.values())
    assert (grads.params["v"] == 0).all()


def test_monotonic_weights_go_on_from_where_they_stopped(rng):
    """With scores that stop surely at chosen positions the weights are there, and never go back."""
    cell = attention(rd.cells.elman(), lambda keys, h: over_units(keys), weights="monotonic", keys="1")
    params = cell.init(1, 2, dtype="float64")
    stops = np.full((6, 1, 1), -1e3)
    stops[[1, 3, 4]] = 1e3
    run = rd.forward(cell, params, np.zeros((4, 1, 1)), memory={"keys": stops, "values": np.zeros((6, 1, 2))})
    np.testing.assert_array_equal(run.attention[:, 0], np.eye(6)[[1, 1, 1, 1]])
    open_ends = np.full((6, 1, 1), -1e3)  # it stops nowhere: all weight falls off the end
    run = rd.forward(
        cell, params, np.zeros((2, 1, 1)), memory={"keys": open_ends, "values": np.zeros((6, 1, 2))}
    )
    assert (run.attention == 0).all()
    even = np.zeros((3, 1, 1))  # p = 1/2 everywhere
    run = rd.forward(cell, params, np.zeros((2, 1, 1)), memory={"keys": even, "values": np.zeros((3, 1, 2))})
    np.testing.assert_allclose(run.attention[:, 0], [[1 / 2, 1 / 4, 1 / 8], [1 / 4, 1 / 4, 3 / 16]])


def test_a_loss_may_be_of_the_weights(rng):
    """A pointer network: the gradient of the weights themselves reaches keys and parameters."""
    c = case(MORE["pointer"], rng, 3, 2, source=4, memory_lengths=False)
    run = c.run()
    assert (run.states["alignment"] == run.attention).all()
    grads = rd.backward(run, d_states={"alignment": rng.standard_normal(run.attention.shape)})
    assert np.abs(grads.memory["keys"]).max() > 1e-3
    assert np.abs(grads.params["U_query"]).max() > 1e-3


def test_scores_of_any_size_are_masked(rng):
    """Weights are right where all scores are far below what others take for a mask."""
    c = case(attention(lstm(), "dot"), rng, 2, 2, hidden=4, source=3)
    memory = {"keys": np.full((3, 2, 4), -1e5), "values": group(c.point, "memory")["values"]}
    start = {"h": np.ones((2, 4))}
    a = given_run(c, memory, np.array([2, 3]), initial=start).attention[0]
    np.testing.assert_allclose(a, [[0.5, 0.5, 0], [1 / 3] * 3], rtol=1e-14)


def test_a_batch_equals_its_members(rng):
    c = case(CELLS["additive"], rng, 5, 4, source=6)
    run = given_run(c)
    d = rng.standard_normal(run.output.shape)
    grads = rd.backward(run, d)
    for b in range(4):
        alone = rd.forward(
            c.cell, run.params, c.x[:, b], memory={k: m[:, b] for k, m in group(c.point, "memory").items()},
            memory_lengths=[c.memory_lengths[b]],
        )  # fmt: skip
        np.testing.assert_allclose(alone.output, run.output[:, b], rtol=1e-13)
        np.testing.assert_allclose(alone.attention, run.attention[:, b], rtol=1e-13, atol=1e-300)
        for name, g in rd.backward(alone, d[:, b]).memory.items():
            np.testing.assert_allclose(g, grads.memory[name][:, b], rtol=1e-11, atol=1e-14)


def test_sequences_may_share_a_memory(rng):
    c = case(CELLS["additive"], rng, 5, 4, source=6, memory_lengths=False)
    two = {name: a[:, :2] for name, a in group(c.point, "memory").items()}
    of, lengths = np.array([1, 0, 1, 1]), np.array([4, 6])
    shared = given_run(c, two, lengths, memory_of=of)
    copied = given_run(c, {name: a[:, of] for name, a in two.items()}, lengths[of])
    assert (shared.output == copied.output).all()
    d = rng.standard_normal(shared.output.shape)
    by_two, by_four = rd.backward(shared, d), rd.backward(copied, d)
    for name, g in by_four.memory.items():
        close(
            name, by_two.memory[name], np.stack([g[:, of == m].sum(axis=1) for m in range(2)], axis=1), 1e-14
        )
    moves = {name: rng.standard_normal(a.shape) for name, a in two.items()}
    left = np.sum(rd.jvp(shared, d_memory=moves).output * d)
    np.testing.assert_allclose(left, sum(np.sum(by_two.memory[k] * moves[k]) for k in two), rtol=1e-11)


def test_hypotheses_of_a_stepper_keep_their_memory(rng):
    c = case(CELLS["additive"], rng, 3, 2, source=6)
    step = rd.stepper(c.cell, group(c.point, "params"), group(c.point, "memory"), c.memory_lengths)
    state = step(c.x[0], step.zeros(2))
    assert (state.attention == given_run(c).attention[0]).all()
    index = np.array([1, 1, 0])
    taken = state.take(index)
    assert (taken.memory_of == index).all()
    assert (taken.attention == state.attention[index]).all()
    after, wanted = step(c.x[1][index], taken), step(c.x[1], state)
    for slot in c.cell.state:
        assert (after[slot] == wanted[slot][index]).all()
    one = rd.stepper(
        c.cell, group(c.point, "params"), {k: m[:, :1] for k, m in group(c.point, "memory").items()}
    )
    assert (one.zeros(3).memory_of == 0).all()


def test_a_run_can_be_pickled_and_differentiated(rng):
    c = case(attention(lstm(), "general"), rng, 3, 2)
    run = c.run()
    again = pickle.loads(pickle.dumps(run))
    d = np.ones(run.output.shape)
    assert (again.attention == run.attention).all()
    assert (rd.backward(again, d).memory["keys"] == rd.backward(run, d).memory["keys"]).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"memory": None}, Refusal("memory", "have keys, values")),
        ({"memory": {"keys": np.zeros((6, 3, 3))}}, Refusal("memory", "have keys, values")),
        ({"memory_lengths": [1, 2]}, Refusal("memory_lengths", "be 3 integers")),
        ({"memory_lengths": [1, 2, 7]}, Refusal("memory_lengths", "lie between 0 and 6")),
        ({"memory_of": [0, 1]}, Refusal("memory_of", "be 3 integers")),
        ({"memory_of": [0, 1, 3]}, Refusal("memory_of", "lie in 0..2")),
    ],
)
def test_errors_name_the_argument(given, words, rng):
    c = case(CELLS["additive"], rng, 2, 3, source=6)
    options = {"memory": group(c.point, "memory")} | given
    with refused(words):
        rd.forward(c.cell, group(c.point, "params"), c.x, **options)


def test_memories_of_wrong_kinds_are_refused(rng):
    c = case(CELLS["additive"], rng, 2, 3, source=6)
    params, memory = group(c.point, "params"), group(c.point, "memory")
    bad = memory["values"].copy()
    bad[2, 1, 0] = np.inf
    for values, words in (
        (memory["values"][:5], Refusal("memory", "one number of positions")),
        (memory["values"][..., :4], Refusal("memory['values']", "shape (6, 3, 5)")),
        (memory["values"][:, :2], Refusal("memory['values']", "shape")),
        (memory["values"].astype("float32"), wrong_type("memory['values']", "float64")),
        (bad, Refusal("memory['values']", "finite", "(2, 1, 0)")),
    ):
        with refused(words):
            rd.forward(c.cell, params, c.x, memory=memory | {"values": values})
    plain = case(lstm(), rng)
    with refused("memory"):
        rd.forward(plain.cell, group(plain.point, "params"), plain.x, memory=memory)
    with refused("memory_lengths"):
        rd.forward(plain.cell, group(plain.point, "params"), plain.x, memory_lengths=[1])


def cell_of(update, **options):
    options = {"state": ("h",), "drives": ("n",), "memory": ("keys",)} | options
    return rd.cells.Cell("refused", update=update, **options)


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (lambda drive, memory: {"h": drive.n + memory.keys}, "slot h"),
        (lambda drive, memory: {"h": drive.n + over_units(memory.keys)}, "slot h"),
        (
            lambda drive, memory: {"h": drive.n + over_positions(over_units(memory.keys))},
            "positions and units",
        ),
        (lambda drive, memory: {"h": drive.n + over_positions(softmax(memory.keys))}, "softmax"),
        (lambda drive, memory: {"h": drive.n(over_units(memory.keys))}, "operand of drive n"),
        (lambda drive, memory: {"h": drive.n + rd.equations.mean(memory.keys)}, "mean"),
        (lambda drive, memory: {"h": drive.n + over_positions(memory.values)}, "memory.values"),
    ],
)
def test_equations_that_break_the_contract_are_refused(update, words):
    with pytest.raises(DefinitionError, match=words):
        cell_of(update)


def test_declarations_that_break_the_contract_are_refused():
    with pytest.raises(DefinitionError, match="source"):
        rd.cells.Cell("none", state=(Slot("a", "source"),), drives=(), update=lambda state: {"a": state.a})
    with pytest.raises(DefinitionError, match="has none"):
        cell_of(lambda drive: {"h": softmax(drive.n)}, memory=())
    with pytest.raises(DefinitionError, match="width of memory"):
        Memory("keys", "wide")
    with pytest.raises(DefinitionError, match="sequence"):
        cell_of(lambda drive: {"h": drive.n}, memory="keys")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"score": "cosine"}, Refusal("score")),
        ({"query": "during"}, Refusal("query")),
        ({"cell": "lstm"}, wrong_type("cell")),
        ({"cell": rd.cells.lstm().with_normalization()}, Refusal("cell", came="normalized")),
        ({"cell": rd.cells.es2n()}, Refusal("cell", came="parametrized")),
        (
            {"cell": rd.cells.lstm().with_structure(rd.cells.DIAGONAL)},
            Refusal("cell", came="structure"),
        ),
        ({"cell": attention()}, Refusal("cell", came="memory already")),
        ({"input_feeding": "no"}, wrong_type("input_feeding")),
        ({"input_feeding": False}, Refusal("input_feeding", "be True with query='before'")),
        ({"keys": 6}, Refusal("keys", "be 'hidden',", "6")),
        ({"values": "wide"}, Refusal("values", "be 'hidden',", "'wide'")),
        ({"values": "0"}, Refusal("values", "be 'hidden',", "'0'")),
        ({"weights": "hard"}, Refusal("weights")),
        ({"location": -1}, Refusal("location")),
        ({"score": "dot", "coverage": True}, Refusal("score")),
    ],
)
def test_cells_that_cannot_have_attention_are_refused(given, words):
    with refused(words):
        attention(**given)


def torch_decoder(torch, kind, score, query, p, x, memory, lengths):
    """A loop of PyTorch's cell and attention with the parameters of `attention`; output and weights."""
    S, B, _ = memory["keys"].shape
    N, H = x.shape[-1], p["U"].shape[0] // {"LSTM": 4, "GRU": 2}[kind]
    beyond = torch.arange(S)[:, None] >= torch.as_tensor(lengths)
    h = c = torch.zeros(B, H, dtype=x.dtype)
    beside = torch.zeros(B, memory["values"].shape[-1] if query == "before" else H, dtype=x.dtype)
    count = {"LSTM": 4, "GRU": 3}[kind] * H
    if kind == "LSTM":
        w_ih, w_hh, b_ih, b_hh = torch.cat([p["W"], p["U"][:, H:]], 1), p["U"][:, :H], p["b"][:count], None
    else:
        w_ih = torch.cat([p["W"], torch.cat([p["U"][:, H:], p["U_n"]])], 1)
        w_hh = torch.cat([p["U"][:, :H], p["U_n_h"]])
        b_ih, b_hh = p["b"][:count], torch.cat([torch.zeros(2 * H, dtype=x.dtype), p["b"][count : count + H]])
        count += H
    outputs, weights = [], []
    for x_t in x:

        def read(asking):
            if score == "additive":
                e = torch.tanh(memory["keys"] + asking @ p["U_query"].T + p["b"][count:]) @ p["v"]
            else:
                e = (memory["keys"] * (asking @ p["U_query"].T)).sum(-1)
            a = torch.softmax(e.masked_fill(beyond, -torch.inf), 0)
            weights.append(a.T)
            return torch.einsum("sb,sbv->bv", a, memory["values"])

        if query == "before":
            beside = read(h)
        gates = torch.cat([x_t, beside], 1)
        if kind == "LSTM":
            h, c = torch.lstm_cell(gates, (h, c), w_ih, w_hh, b_ih, torch.zeros_like(b_ih))
        else:
            h = torch.gru_cell(gates, h, w_ih, w_hh, b_ih, b_hh)
        if query == "after":
            beside = torch.tanh(torch.cat([read(h), h], 1) @ p["U_attended"].T)
        outputs.append(h if query == "before" else beside)
    assert w_ih.shape[1] == N + beside.shape[1]
    return torch.stack(outputs), torch.stack(weights)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("score", ["additive", "general"])
@pytest.mark.parametrize("query", ["before", "after"])
def test_a_loop_of_pytorch_has_the_same_values_and_gradients(kind, score, query, rng):
    torch = pytest.importorskip("torch")
    cell = attention(getattr(rd.cells, kind.lower())(), score, query, values="5", keys="3")
    c = case(cell, rng, 6, 4, 3, 8, source=7)
    lengths = np.array([7, 1, 4, 6])
    tensors = {
        kind: {name: torch.tensor(a, requires_grad=True) for name, a in group(c.point, kind).items()}
        for kind in ("params", "memory")
    }
    x = torch.tensor(c.x, requires_grad=True)
    output, weights = torch_decoder(
        torch, kind, score, query, tensors["params"], x, tensors["memory"], lengths
    )
    run = given_run(c, memory_lengths=lengths)
    np.testing.assert_allclose(run.output, output.detach(), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(run.attention, weights.detach(), rtol=1e-10, atol=1e-13)
    d = rng.standard_normal(run.output.shape)
    output.backward(torch.tensor(d))
    grads = rd.backward(run, d)
    close("x", grads.x, x.grad, 1e-12)
    for which, found in (("params", grads.params), ("memory", grads.memory)):
        for name, tensor in tensors[which].items():
            close(name, found[name], tensor.grad, 1e-11)
