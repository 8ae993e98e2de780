"""What attention reads and how it responds, against Jacobians by complex step, and the paths of its gradient."""

from __future__ import annotations

import numpy as np
import pytest
from cell_checks import case, close, group
from matplotlib.figure import Figure
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.cells import attention, elman, gru, lstm
from recurrent_dynamics.dynamics import alignment, attention_paths

CELLS = {
    "additive": attention(lstm(), keys="3", values="5"),
    "general": attention(gru(), "general", "after", values="2"),
    "dot": attention(elman(), "dot", values="6"),
}
by_name = pytest.mark.parametrize("name", CELLS)


def read(name, params, memory, h, lengths):
    """What a query reads, h (B, H) real or complex."""
    if name == "additive":
        q = h @ params["U_query"].T + params["b"][-3:]
        e = (np.tanh(memory["keys"] + q) * params["v"]).sum(-1)
    else:
        e = (memory["keys"] * (h @ params["U_query"].T if name == "general" else h)).sum(-1)
    weights = np.exp(e - e.real.max(0)) * (np.arange(len(e))[:, None] < lengths)
    total = weights.sum(0)
    return np.einsum("sb,sbv->bv", weights / np.where(total == 0, 1, total), memory["values"])


@by_name
def test_the_sensitivity_is_the_norm_of_the_jacobian_of_what_is_read_by_the_query(name, rng):
    c = case(CELLS[name], rng, 4, 5, source=6, lengths=True)
    run = c.run()
    found = alignment(run)
    params, memory = run.params, group(c.point, "memory")
    asking = run.tape.before[..., :4] if name != "general" else run.states["h"]
    for t in range(4):
        by_h = np.stack(
            [
                read(name, params, memory, asking[t] + 1j * 1e-30 * np.eye(4)[j], c.memory_lengths).imag
                / 1e-30
                for j in range(4)
            ],
            axis=-1,
        )
        # By the query, of which h is mapped to q: the norm is that of dc / dq, so undo the map.
        by_q = by_h if name == "dot" else by_h @ np.linalg.pinv(params["U_query"])
        wanted = np.linalg.norm(by_q, axis=(1, 2)) * (t < c.lengths)
        close(f"sensitivity of step {t}", found.sensitivity[t], wanted, 1e-9)


@by_name
def test_effective_positions_lie_between_1_and_the_length_of_the_source(name, rng):
    c = case(CELLS[name], rng, 4, 5, source=6)
    found = alignment(c.run())
    some = c.memory_lengths > 0
    assert (found.effective_positions[:, some] >= 1 - 1e-12).all()
    assert (found.effective_positions <= c.memory_lengths + 1e-12).all()
    assert (found.sensitivity[:, ~some] == 0).all()


def test_sharp_weights_have_no_sensitivity(rng):
    c = case(CELLS["dot"], rng, 3, 2, source=4, memory_lengths=False)
    sharp = dict(c.point)
    sharp["memory", "keys"] = 1e5 * c.point["memory", "keys"]
    found = alignment(c.run(sharp))
    assert (found.sensitivity < 1e-12).all()
    np.testing.assert_allclose(found.effective_positions, 1)


@by_name
def test_paths_past_the_weights_are_those_of_weights_that_stand_still(name, rng):
    """Where keys are all 0 the scores of dot-product attention do not move, so all paths leave the weights alone."""
    c = case(CELLS[name], rng, 5, 3, source=4, memory_lengths=False)
    d = rng.standard_normal(c.run().output.shape)
    paths = attention_paths(c.run(), d)
    np.testing.assert_array_equal(paths.whole, rd.backward(c.run(), d).states[paths.slot])
    still = dict(c.point)
    if name == "additive":
        still["params", "v"] = 0 * c.point["params", "v"]
    else:
        still["memory", "keys"] = 0 * c.point["memory", "keys"]
    parts = attention_paths(c.run(still), d)
    assert (parts.through_weights == 0).all()
    assert np.abs(paths.through_weights).max() > 1e-3
    # The cut run has the derivatives of a cell whose weights are given: one step back by hand, with U alone.
    if name == "dot":
        run = c.run()
        slope = 1 - run.states["h"] ** 2
        back = d.copy()
        for t in range(3, -1, -1):
            back[t] += (back[t + 1] * slope[t + 1]) @ run.params["U"][:, :4]
        close("past the weights", paths.past_weights, back, 1e-12)


def test_a_run_of_one_sequence_keeps_its_axis(rng):
    c = case(CELLS["dot"], rng, 3, 1, source=4, memory_lengths=False)
    params, memory = group(c.point, "params"), {k: m[:, 0] for k, m in group(c.point, "memory").items()}
    run = rd.forward(c.cell, params, c.x[:, 0], memory=memory)
    assert run.attention.shape == (3, 4)
    assert alignment(run).weights.shape == (3, 1, 4)
    assert attention_paths(run, np.ones((3, 4))).whole.shape == (3, 1, 4)


def test_figures_name_their_axes(rng):
    c = case(CELLS["additive"], rng, 4, 2, source=3, memory_lengths=False)
    ax = alignment(c.run()).plot(sequence=1, source="abc", target="wxyz", ax=Figure().subplots())
    assert ax.get_xlabel() == "position of the source"
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abc")
    ax = alignment(c.run()).plot(ax=Figure().subplots())
    assert all(tick == round(tick) for tick in (*ax.get_xticks(), *ax.get_yticks()))
    with refused("source"):
        alignment(c.run()).plot(source="abcd", ax=Figure().subplots())
    with refused("sequence"):
        alignment(c.run()).plot(sequence=2, ax=Figure().subplots())
    ax = attention_paths(c.run(), np.ones(c.run().output.shape)).plot(ax=Figure().subplots())
    assert len(ax.lines) == 3


def test_cells_without_attention_are_refused(rng):
    run = case(lstm(), rng).run()
    for analysis in (alignment, lambda run: attention_paths(run, np.ones(run.output.shape))):
        with refused("run", "softmax"):
            analysis(run)
    with refused("run", "one set of weights"):
        _ = run.attention


@by_name
def test_other_analyses_take_such_a_run(name, rng):
    c = case(CELLS[name], rng, 6, 2, source=5)
    run, d = c.run(), np.zeros((6, 2, 4))
    d[-1] = 1
    parts = rd.dynamics.lag_gradients(run, d)
    for key, whole in rd.backward(run, d).params.items():
        close(key, parts.params[key].sum(axis=0), whole, 1e-10)
    longer = case(CELLS[name], rng, 200, 2, source=5).run()
    assert np.isfinite(rd.dynamics.lyapunov(longer, count=2).exponents).all()


def test_analyses_of_autonomous_maps_refuse_a_cell_that_reads_a_memory(rng):
    cell = CELLS["dot"]
    with refused("cell", "memory"):
        rd.dynamics.fixed_points(cell, cell.init(2, 3), np.zeros((1, 9)), input=np.zeros(2))
