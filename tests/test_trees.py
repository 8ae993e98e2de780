"""Recursive networks over trees: against the reference, its complex steps, PyTorch, and themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell, Slot, Unit
from recurrent_dynamics.equations import sigmoid, tanh
from recurrent_dynamics.trees import reference

N, H = 2, 3
STEP = 1e-30


def decaying_sum(drive, state, param, signal):
    c = param.keep * state.c + (1 - param.keep) * signal.gate * tanh(drive.n)
    return {"h": sigmoid(drive.o) * c, "c": c, "count": state.count + tanh(drive.k)}


def gated_arc(drive, state):
    return {"h": state.h, "c": sigmoid(drive.f(state.h)) * state.c, "count": state.count}


def own_cell():
    """A cell of a user: signals, a bounded param, a slot of another width, normalization, an arc that is called."""
    slots = ("h", "c", Slot("count", "2"))
    drives = ("n", "o", rd.cells.Drive("k", width="2"))
    units = (Unit("keep", 0.5, 0.0, 1.0),)
    node = Cell(
        "sum",
        state=slots,
        drives=drives,
        update=decaying_sum,
        units=units,
        signals=("gate",),
        normalized=("n",),
    )
    return rd.trees.child_sum(node, Cell("gate", state=slots, drives=("f",), update=gated_arc))


CELLS = {
    "child-sum": rd.trees.child_sum_lstm,
    "n-ary": lambda: rd.trees.n_ary_lstm(3),
    "recursive": lambda: rd.trees.recursive(3),
    "sum": lambda: rd.trees.recursive(None),
    "gru": lambda: rd.trees.child_sum(rd.cells.gru_reset_before()),
    "own": own_cell,
}
every_cell = pytest.mark.parametrize("name", CELLS)


def random_parents(rng, nodes, most=3):
    """A random tree whose nodes have at most so many children, numbered at random."""
    parents = np.full(nodes, -1)
    for node in range(1, nodes):
        free = np.flatnonzero(np.bincount(parents[1:node], minlength=node)[:node] < most)
        parents[node] = rng.choice(free)
    names = rng.permutation(nodes)
    shuffled = np.empty(nodes, int)
    shuffled[names] = np.where(parents < 0, -1, names[parents])
    return shuffled


def a_forest(rng, sizes=(1, 6, 3)):
    return rd.trees.forest([random_parents(rng, n) for n in sizes])


def a_point(rng, cell, forest, dtype="float64"):
    """Everything that goes into a run."""
    params = {k: a + 0.3 * rng.standard_normal(a.shape) for k, a in cell.init(N, H, rng, "float64").items()}
    widths = {s.rpartition("_")[0] if cell.children else s: w for s, w in _widths(cell).items()}
    point = {
        "params": params,
        "x": {"": rng.standard_normal((forest.nodes, N))},
        "initial": {s: rng.standard_normal((forest.trees, widths[s])) for s in cell.state},
        "signals": {s: rng.standard_normal((forest.nodes, H)) for s in cell.node.signals},
    }
    return {k: {n: a.astype(dtype) for n, a in v.items()} for k, v in point.items()}


def _widths(cell):
    return {s.name: H if s.width == "hidden" else int(s.width) for s in cell.node.slots}


def a_run(cell, forest, point):
    return rd.trees.forward(
        cell, point["params"], forest, point["x"][""], initial=point["initial"], signals=point["signals"]
    )


def by_reference(cell, forest, point):
    return reference.forward(
        cell, point["params"], forest, point["x"][""], point["initial"], point["signals"]
    )


def moved(point, by, step):
    return {k: {n: a + step * by[k][n] for n, a in v.items()} for k, v in point.items()}


def a_direction(rng, point):
    return {k: {n: rng.standard_normal(a.shape) for n, a in v.items()} for k, v in point.items()}


def gradients(found):
    return {"params": found.params, "x": {"": found.x}, "initial": found.initial, "signals": found.signals}


def cotangents(rng, run):
    return {s: rng.standard_normal(a.shape).astype(run.dtype) for s, a in run.states.items()}


def close(came, wanted, tolerance=1e-9):
    assert came.shape == wanted.shape
    assert np.abs(came - wanted).max(initial=0) <= tolerance * max(np.abs(wanted).max(initial=0), 1e-3)


@every_cell
def test_states_and_every_gradient_are_those_of_the_reference(rng, name):
    cell, forest = CELLS[name](), a_forest(rng)
    point = a_point(rng, cell, forest)
    run = a_run(cell, forest, point)
    expected = by_reference(cell, forest, point)
    for slot in cell.state:
        close(run.states[slot], expected[slot], 1e-13)
        close(run.final[slot], expected[slot][forest.roots], 1e-13)
    close(run.output, expected["h"], 1e-13)
    d = cotangents(rng, run)
    found = gradients(rd.trees.backward(run, d_states=d))
    for kind, arrays in point.items():
        for key, a in arrays.items():
            wanted = np.zeros_like(a)
            for i in np.ndindex(a.shape):
                at = {k: dict(v) for k, v in point.items()}
                at[kind][key] = a.astype(complex)
                at[kind][key][i] += 1j * STEP
                states = by_reference(cell, forest, at)
                wanted[i] = sum(np.vdot(d[s], states[s].imag) for s in d) / STEP
            close(found[kind][key], wanted)


@every_cell
def test_tangents_are_complex_steps_and_the_adjoint_is_their_transpose(rng, name):
    cell, forest = CELLS[name](), a_forest(rng, (4, 9, 1))
    point = a_point(rng, cell, forest)
    run, u = a_run(cell, forest, point), a_direction(rng, point)
    tangent = rd.trees.jvp(run, u["params"], u["x"][""], u["initial"], u["signals"] or None)
    states = by_reference(cell, forest, moved(point, u, 1j * STEP))
    for slot in cell.state:
        close(tangent.states[slot], states[slot].imag / STEP)
    close(tangent.output, tangent.states["h"])
    d = cotangents(rng, run)
    back = gradients(rd.trees.backward(run, d_states=d))
    left = sum(np.vdot(d[s], tangent.states[s]) for s in d)
    right = sum(np.vdot(u[k][n], back[k][n]) for k in u for n in u[k])
    assert abs(left - right) <= 1e-11 * max(abs(left), 1)


@every_cell
def test_jacobians_carry_the_state_of_a_child_to_its_parent(rng, name):
    """A tangent of the state of the children alone, through their Jacobians, is that of the parent."""
    cell, forest = CELLS[name](), rd.trees.forest([-1, 0, 0, 0])
    point = a_point(rng, cell, forest)
    run = a_run(cell, forest, point)
    J = rd.trees.jacobian(run)
    x = np.zeros((4, N))
    x[1:] = rng.standard_normal((3, N))
    # Without an arc cell the parent reads the children's states alone, so that moving their inputs moves only these.
    tangent = rd.trees.jvp(run, d_x=x)
    flat = np.concatenate([tangent.states[s] for s in cell.state], axis=1)
    close(sum(J[a] @ flat[forest.source[a]] for a in range(3)), flat[0])
    assert np.array_equal(rd.trees.jacobian(run, [2, 0]), J[[2, 0]])
    assert rd.trees.jacobian(run, []).shape == (0, *J.shape[1:])


@every_cell
def test_gradients_by_states_hold_along_every_path(rng, name):
    """The gradient by a child's state is its own cotangent and that of its parent, through the Jacobian."""
    cell, forest = CELLS[name](), a_forest(rng, (8, 3))
    run = a_run(cell, forest, a_point(rng, cell, forest))
    d = cotangents(rng, run)
    found = rd.trees.backward(run, d_states=d)
    flat = np.concatenate([found.states[s] for s in cell.state], axis=1)
    own = np.concatenate([d[s] for s in cell.state], axis=1)
    J = rd.trees.jacobian(run)
    for a, (child, parent) in enumerate(zip(forest.source, forest.target)):
        close(flat[child], own[child] + J[a].T @ flat[parent])
    close(flat[forest.roots], own[forest.roots], 1e-15)


@every_cell
def test_a_forest_is_its_trees_one_by_one(rng, name):
    cell = CELLS[name]()
    parents = [random_parents(rng, n) for n in (7, 1, 12, 4)]
    forest = rd.trees.forest(parents)
    point = a_point(rng, cell, forest)
    run = a_run(cell, forest, point)
    d = cotangents(rng, run)
    whole = rd.trees.backward(run, d_states=d)
    sums = {k: np.zeros_like(a) for k, a in whole.params.items()}
    for tree, p in enumerate(parents):
        nodes = forest.of_tree(tree)
        part = dict(point)
        part["x"] = {"": point["x"][""][nodes]}
        part["signals"] = {k: a[nodes] for k, a in point["signals"].items()}
        part["initial"] = {k: a[[tree]] for k, a in point["initial"].items()}
        one = a_run(cell, rd.trees.forest(p), part)
        back = rd.trees.backward(one, d_states={s: a[nodes] for s, a in d.items()})
        for slot in cell.state:
            assert np.array_equal(one.states[slot], run.states[slot][nodes])
            assert np.array_equal(back.states[slot], whole.states[slot][nodes])
            close(back.initial[slot], whole.initial[slot][[tree]], 1e-13)
        close(back.x, whole.x[nodes], 1e-13)
        sums = {k: a + back.params[k] for k, a in sums.items()}
    for k, a in sums.items():
        close(whole.params[k], a, 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("make", [rd.cells.elman, rd.cells.lstm, rd.cells.gru])
def test_chains_are_sequences_to_the_bit(rng, make, batch, dtype):
    cell, steps, units = make(), 11, 19
    params = cell.init(N, units, rng, dtype)
    x = rng.standard_normal((steps, batch, N)).astype(dtype)
    start = {s: rng.standard_normal((batch, units)).astype(dtype) for s in cell.state}
    run = rd.forward(cell, params, x, initial=start)
    chains = rd.trees.forest([[*range(1, steps), -1]] * batch)
    over = rd.trees.forward(cell, params, chains, x.swapaxes(0, 1).reshape(-1, N), initial=start)
    d = rng.standard_normal(run.output.shape).astype(dtype)
    back, over_back = rd.backward(run, d), rd.trees.backward(over, d.swapaxes(0, 1).reshape(-1, units))

    # On the way back cotangents meet in another order.
    tolerance = 1e-5 if dtype == "float32" else 1e-13

    def by_step(a):
        return a.reshape(batch, steps, -1).swapaxes(0, 1)

    for slot in cell.state:
        assert np.array_equal(by_step(over.states[slot]), run.states[slot])
        assert np.array_equal(over.final[slot], run.final[slot])
        close(by_step(over_back.states[slot]), back.states[slot], tolerance)
        close(over_back.initial[slot], back.initial[slot], tolerance)
    close(by_step(over_back.x), back.x, tolerance)
    for key, a in back.params.items():
        close(over_back.params[key], a, tolerance)


@every_cell
@pytest.mark.parametrize("sizes", [(700,), (90, 80, 100, 70, 95, 85, 75, 88), (3, 600, 2)])
def test_any_number_of_threads_gives_the_same_bits(rng, set_threads, tune, name, sizes):
    tune(min_parallel_flops=0)
    cell, forest = CELLS[name](), a_forest(rng, sizes)
    point, found = a_point(rng, cell, forest, "float32"), []
    d = None
    for threads in (1, 2, 5):
        set_threads(threads)
        run = a_run(cell, forest, point)
        d = cotangents(rng, run) if d is None else d
        back = rd.trees.backward(run, d_states=d)
        moved_x = rd.trees.jvp(run, d_x=point["x"][""])
        found.append(
            [*run.states.values(), *back.params.values(), back.x, *back.states.values(), *back.initial.values(),
             *back.signals.values(), *moved_x.states.values()]
        )  # fmt: skip
    for other in found[1:]:
        for a, b in zip(found[0], other):
            assert np.array_equal(a, b)


@every_cell
def test_single_precision_is_double_precision_rounded(rng, name):
    cell, forest = CELLS[name](), a_forest(rng, (20, 11))
    point = a_point(rng, cell, forest)
    small = {k: {n: a.astype("float32") for n, a in v.items()} for k, v in point.items()}
    large = {k: {n: a.astype("float64") for n, a in v.items()} for k, v in small.items()}
    d = None
    results = []
    for p in (small, large):
        run = a_run(cell, forest, p)
        d = cotangents(rng, run) if d is None else {s: a.astype("float64") for s, a in d.items()}
        results.append(gradients(rd.trees.backward(run, d_states=d)) | {"states": run.states})
    for kind in results[0]:
        for key, a in results[0][kind].items():
            assert a.dtype == np.float32
            close(a, results[1][kind][key], 2e-5)


@st.composite
def forests(draw):
    """(parents of each tree, a seed)."""
    shapes = draw(st.lists(st.lists(st.integers(0, 10**6), max_size=14), min_size=1, max_size=4))
    return [[-1, *(n % (i + 1) for i, n in enumerate(tree))] for tree in shapes], draw(st.integers(0, 2**16))


@settings(max_examples=40)
@given(forests())
def test_any_forest_has_the_states_of_the_reference_and_an_adjoint(drawn):
    parents, seed = drawn
    rng, forest = np.random.default_rng(seed), rd.trees.forest(parents)
    for cell in (rd.trees.child_sum_lstm(), rd.trees.n_ary_lstm(max(forest.places, 1))):
        point = a_point(rng, cell, forest)
        if seed % 2:  # products with states of 0 are left out
            point["initial"] = {s: np.zeros_like(a) for s, a in point["initial"].items()}
        run, u = a_run(cell, forest, point), a_direction(rng, point)
        expected = by_reference(cell, forest, point)
        for slot in cell.state:
            close(run.states[slot], expected[slot], 1e-12)
        d = cotangents(rng, run)
        back = gradients(rd.trees.backward(run, d_states=d))
        tangent = rd.trees.jvp(run, u["params"], u["x"][""], u["initial"])
        left = sum(np.vdot(d[s], tangent.states[s]) for s in d)
        right = sum(np.vdot(u[k][n], back[k][n]) for k in u for n in u[k])
        size = sum(np.abs(u[k][n] * back[k][n]).sum() for k in u for n in u[k])
        assert abs(left - right) <= 1e-12 * size


def test_a_sum_has_no_order_and_places_have_one(rng):
    """Children in another order: the same state of a sum, another one of places; empty places tell children apart."""
    left, right = rd.trees.from_children([[1, None], []]), rd.trees.from_children([[None, 1], []])
    x = rng.standard_normal((2, N))
    for cell, differs in ((rd.trees.n_ary_lstm(2), True), (rd.trees.child_sum_lstm(), False)):
        params = cell.init(N, H, rng, "float64")
        a, b = (rd.trees.forward(cell, params, f, x).output for f in (left, right))
        assert np.array_equal(a[1], b[1])
        assert (np.abs(a[0] - b[0]).max() > 1e-3) == differs
    three = rng.standard_normal((4, N))
    cell = rd.trees.child_sum_lstm()
    params, forest = cell.init(N, H, rng, "float64"), rd.trees.forest([-1, 0, 0, 0])
    close(
        rd.trees.forward(cell, params, forest, three).final["h"],
        rd.trees.forward(cell, params, forest, three[[0, 3, 1, 2]]).final["h"],
        1e-14,
    )
    cell = rd.trees.recursive(3)
    params = cell.init(N, H, rng, "float64")
    a, b = (rd.trees.forward(cell, params, forest, three[i]).final["h"] for i in ([0, 1, 2, 3], [0, 3, 1, 2]))
    assert np.abs(a - b).max() > 1e-3


def test_each_forget_gate_sees_the_input_of_its_own_parent(rng):
    cell, forest = rd.trees.child_sum_lstm(), rd.trees.forest([-1, 0, 0, 1, 1])
    params = cell.init(N, H, rng, "float64")
    x = rng.standard_normal((5, N))
    run = rd.trees.forward(cell, params, forest, x)
    for a, (child, parent) in enumerate(zip(forest.source, forest.target)):
        wanted = params["arc_W"] @ x[parent] + params["arc_U"] @ run.output[child] + params["arc_b"]
        close(run.arc_drives["f"][a], wanted, 1e-13)
    # The gates of two nodes at one height have inputs of their own, also in one forest.
    two = rd.trees.forward(cell, params, rd.trees.forest([[-1, 0], [-1, 0]]), x[:4]).arc_drives["f"]
    assert np.abs(two[0] - two[1]).max() > 1e-3


def test_class_indices_are_one_hot_vectors(rng):
    forest = a_forest(rng, (9, 4, 6))
    classes = rng.integers(0, 5, forest.nodes)
    for cell in (rd.trees.child_sum_lstm(), rd.trees.n_ary_lstm(3)):
        params = cell.init(5, H, rng, "float64")
        runs = [rd.trees.forward(cell, params, forest, x) for x in (classes, np.eye(5)[classes])]
        backs = [rd.trees.backward(run, np.ones_like(run.output)) for run in runs]
        close(runs[0].output, runs[1].output, 1e-14)
        assert backs[0].x is None
        for name, a in backs[1].params.items():
            close(backs[0].params[name], a, 1e-13)


def test_nodes_may_have_no_input(rng):
    cell, forest = rd.trees.recursive(2), rd.trees.from_nested(((), ()))
    params = cell.init(0, H, rng, "float64")
    run = rd.trees.forward(cell, params, forest)
    leaf = np.tanh(params["b"])
    close(run.output[1], leaf, 1e-14)
    close(run.output[0], np.tanh(params["U"] @ np.concatenate([leaf, leaf]) + params["b"]), 1e-14)
    assert rd.trees.backward(run, np.ones_like(run.output)).x is None


@pytest.mark.parametrize("kind", ["child-sum", "n-ary"])
def test_a_node_by_node_implementation_in_pytorch_agrees(rng, kind):
    torch = pytest.importorskip("torch")
    cell, forest = CELLS[kind](), a_forest(rng, (13, 8))
    point = a_point(rng, cell, forest)
    point["initial"] = {s: np.zeros_like(a) for s, a in point["initial"].items()}
    run = a_run(cell, forest, point)
    p = {k: torch.tensor(a, requires_grad=True) for k, a in point["params"].items()}
    x = torch.tensor(point["x"][""], requires_grad=True)
    h, c = {}, {}
    for node in np.argsort(forest.level, kind="stable").tolist():
        below = forest.children(node)
        if kind == "child-sum":
            total = sum((h[k] for k in below), torch.zeros(H, dtype=torch.float64))
            i, o, u = (p["W"] @ x[node] + p["U"] @ total + p["b"]).split(H)
            c[node] = torch.sigmoid(i) * torch.tanh(u)
            for k in below:
                f = torch.sigmoid(p["arc_W"] @ x[node] + p["arc_U"] @ h[k] + p["arc_b"])
                c[node] = c[node] + f * c[k]
        else:
            zero = torch.zeros(H, dtype=torch.float64)
            at = {int(forest.positions[k]): k for k in below}
            states = [h[at[q]] if q in at else zero for q in range(3)]
            blocks = (p["U"] @ torch.cat(states)).split(H)
            i, f, o, u = (p["W"] @ x[node] + p["b"]).split(H)
            i, o, u = i + blocks[0], o + blocks[4], u + blocks[5]
            c[node] = torch.sigmoid(i) * torch.tanh(u)
            for q in at:
                c[node] = c[node] + torch.sigmoid(f + blocks[1 + q]) * c[at[q]]
        h[node] = torch.sigmoid(o) * torch.tanh(c[node])
    output = torch.stack([h[node] for node in range(forest.nodes)])
    close(run.output, output.detach().numpy(), 1e-12)
    d = rng.standard_normal(run.output.shape)
    (output * torch.tensor(d)).sum().backward()
    back = rd.trees.backward(run, d)
    for name, a in p.items():
        close(back.params[name], a.grad.numpy(), 1e-11)
    close(back.x, x.grad.numpy(), 1e-11)


def test_gradients_and_jacobians_by_depth(rng):
    cell, forest = rd.trees.recursive(2), rd.trees.from_nested(((((), ()), ()), ((), ())))
    params = cell.init(N, H, rng, "float64")
    run = rd.trees.forward(cell, params, forest, rng.standard_normal((forest.nodes, N)))
    d = np.zeros_like(run.output)
    d[0] = rng.standard_normal(H)
    grads = rd.trees.backward(run, d)
    found = rd.trees.gradient_by_depth(grads)
    assert found.distance.tolist() == [0, 1, 2, 3]
    assert found.nodes.tolist() == [1, 2, 4, 2]
    norms = np.linalg.norm(grads.states["h"], axis=1)
    close(found.values, norms, 1e-14)
    close(found.median[2], np.median(norms[forest.distance == 2]), 1e-14)
    assert found.factor == pytest.approx((found.median[3] / found.median[0]) ** (1 / 3))
    jacobians = rd.trees.jacobian_by_depth(run)
    J = dict(zip(forest.source.tolist(), rd.trees.jacobian(run)))
    for node in range(forest.nodes):
        product, at = np.eye(H), node
        while at != 0:
            product, at = J[at] @ product, forest.parents[at]
        close(jacobians.values[node], np.linalg.svd(product)[1][0], 1e-12)
        close(grads.states["h"][node], product.T @ d[0])
    assert (norms <= jacobians.values * np.linalg.norm(d[0]) * (1 + 1e-12)).all()
    alone = rd.trees.forward(cell, params, rd.trees.forest([-1]), np.zeros((1, N)))
    assert np.isnan(rd.trees.jacobian_by_depth(alone).factor)


@pytest.mark.parametrize("lags", [(1,), (1, 3), (4, 2, 1)])
def test_skip_connections_are_earlier_steps(rng, lags):
    steps, batch = 7, 2
    graph, cell = rd.trees.skip_connections(steps, lags, batch), rd.trees.n_ary_lstm(len(lags))
    point = a_point(rng, cell, graph)
    run, expected = a_run(cell, graph, point), by_reference(cell, graph, point)
    for slot in cell.state:
        close(run.states[slot], expected[slot], 1e-13)
    assert np.array_equal(run.final["h"], run.output[-batch:])
    u, d = a_direction(rng, point), cotangents(rng, run)
    states = by_reference(cell, graph, moved(point, u, 1j * STEP))
    tangent = rd.trees.jvp(run, u["params"], u["x"][""], u["initial"])
    for slot in cell.state:
        close(tangent.states[slot], states[slot].imag / STEP)
    back = gradients(rd.trees.backward(run, d_states=d))
    left = sum(np.vdot(d[s], tangent.states[s]) for s in d)
    close(np.array(sum(np.vdot(u[k][n], back[k][n]) for k in u for n in u[k])), np.array(left), 1e-11)


def test_skip_connections_by_hand(rng):
    cell, T = rd.trees.recursive(2), 6
    params = cell.init(N, H, rng, "float64")
    x = rng.standard_normal((T, N))
    output = rd.trees.forward(cell, params, rd.trees.skip_connections(T, (1, 3)), x).output
    h = np.zeros((T + 3, H))
    for t in range(T):
        before = np.concatenate([h[t + 2], h[t]])
        h[t + 3] = np.tanh(params["W"] @ x[t] + params["U"] @ before + params["b"])
    close(output, h[3:], 1e-13)


def test_forests_know_their_nodes():
    forest = rd.trees.forest([[1, -1, 1], [-1]])
    assert (forest.nodes, forest.trees, forest.depth, forest.places, len(forest)) == (4, 2, 2, 2, 4)
    assert forest.parents.tolist() == [1, -1, 1, -1]
    assert forest.roots.tolist() == [1, 3]
    assert forest.level.tolist() == [0, 1, 0, 0]
    assert forest.children(1) == [0, 2]
    assert forest.of_tree(0).tolist() == [0, 1, 2]
    same = rd.trees.from_children([[], [0, 2], [], []])
    assert np.array_equal(same.positions, forest.positions)
    placed = rd.trees.forest([-1, 0, 0], positions=[5, 1, 0])
    assert placed.positions.tolist() == [0, 1, 0]
    assert placed.children(0) == [2, 1]
    nested = rd.trees.from_nested((None, ((),)), ())
    assert nested.parents.tolist() == [-1, 0, 1, -1]
    assert nested.positions.tolist() == [0, 1, 0, 0]
    deep = ()
    for _ in range(5000):
        deep = (deep,)
    assert rd.trees.from_nested(deep).depth == 5001


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (lambda: rd.trees.forest([1, 0]), Refusal("parents", "cycle", "node")),
        (lambda: rd.trees.forest([-1, 2, 3, 1]), Refusal("parents", "cycle", "node")),
        (lambda: rd.trees.forest([-1, 2]), Refusal("parents", "0..1", "2 for node 1")),
        (lambda: rd.trees.forest([[-1], [-2]]), Refusal("parents[1]", "0..0", "-2")),
        (lambda: rd.trees.forest([]), Refusal("parents", "one node")),
        (lambda: rd.trees.forest([-1.0]), wrong_type("parents", "integers", "float64")),
        (lambda: rd.trees.forest([-1, 0], positions=[0]), Refusal("positions", "(2,)", "(1,)")),
        (lambda: rd.trees.forest([-1, 0, 0], positions=[0, 1, 1]), Refusal("positions", "differ", "1 twice")),
        (lambda: rd.trees.forest([-1, 0], positions=[0, -1]), Refusal("positions", "at least 0", "-1")),
        (lambda: rd.trees.from_children([[1], [], [1]]), Refusal("children", "one parent", "0 and 2")),
        (lambda: rd.trees.from_children([[1], [0]]), Refusal("children", "cycle")),
        (lambda: rd.trees.from_children([[1]]), Refusal("children[0]", "0..0", "1")),
        (lambda: rd.trees.from_children([]), Refusal("children", "one node")),
        (lambda: rd.trees.from_children(5), wrong_type("children", "sequence", "5")),
        (lambda: rd.trees.from_children([[1], 2]), wrong_type("children[1]", "sequence", "2")),
        (lambda: rd.trees.from_nested(), Refusal("trees", "one")),
        (lambda: rd.trees.from_nested((1,)), wrong_type("trees", "tuples", "int")),
        (lambda: rd.trees.forest([-1]).children(1), Refusal("node", "below 1", "1")),
        (lambda: rd.trees.skip_connections(0, (1,)), Refusal("steps", "at least 1", "0")),
        (lambda: rd.trees.skip_connections(3, (1, 1)), Refusal("lags", "different", "(1, 1)")),
        (lambda: rd.trees.skip_connections(3, (0,)), Refusal("lags[0]", "at least 1", "0")),
        (lambda: rd.trees.skip_connections(3, 1), wrong_type("lags", "sequence", "1")),
        (lambda: rd.trees.forest([-1]).part(0), wrong_type("trees", "in one row", "()")),
        (lambda: rd.plot.graph(rd.trees.forest([-1]), labels=["a", "b"]), Refusal("labels", "1 nodes", "2")),
        (lambda: rd.plot.graph([-1, 0]), wrong_type("graph", "Graph", "list")),
        (lambda: rd.plot.by_depth(3), wrong_type("found", "ByDepth", "int")),
        (lambda: rd.trees.forest([-1]).of_tree(1), Refusal("tree", "below 1", "1")),
    ],
)
def test_wrong_trees_are_named(make, refusal):
    with refused(refusal):
        make()


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"cell": 3}, wrong_type("cell", "TreeCell")),
        ({"graph": [-1]}, wrong_type("graph", "Graph")),
        ({"cell": rd.trees.n_ary_lstm(1)}, Refusal("graph", "1 places", "node 0")),
        ({"x": np.zeros((2, N))}, Refusal("x", "(3, 2)", "(2, 2)")),
        ({"x": np.zeros((3, N), "float32")}, wrong_type("x", "float64", "float32")),
        ({"x": np.array([0, 1, 2])}, Refusal("x", "0..1", "2 for node 2")),
        ({"x": np.array([[0]])}, Refusal("x", "(3,)", "(1, 1)")),
        ({"x": np.full((3, N), np.nan)}, Refusal("x", "finite", "nan")),
        ({"initial": {"h": np.zeros((2, H))}}, Refusal("initial['h']", "(1, 3)", "(2, 3)")),
        ({"initial": {"z": np.zeros(H)}}, Refusal("initial", "h, c", "'z'")),
        ({"signals": {"dt": np.zeros(3)}}, Refusal("signals", "", "'dt'")),
        ({"params": [1]}, wrong_type("params", "mapping", "list")),
        ({"check_finite": 1}, wrong_type("check_finite")),
    ],
)
def test_wrong_arguments_are_named(change, refusal):
    cell = rd.trees.child_sum_lstm()
    given = {"cell": cell, "params": cell.init(N, H, dtype="float64"), "graph": rd.trees.forest([-1, 0, 0])}
    with refused(refusal):
        rd.trees.forward(**(given | {"x": np.zeros((3, N))} | change))


def test_parameters_of_arcs_that_do_not_fit_are_named():
    cell, forest = rd.trees.child_sum_lstm(), rd.trees.forest([-1, 0])
    params, x = cell.init(N, H, dtype="float64"), np.zeros((2, N))
    others = {k: a for k, a in cell.init(N, H + 1, dtype="float64").items() if k.startswith("arc_")}
    with refused(Refusal("params that begin with 'arc_'", "3 units", "(2, 4)")):
        rd.trees.forward(cell, params | others, forest, x)
    with refused(wrong_type("params['arc_W']", "float64", "float32")):
        single = {k: a.astype("float32") for k, a in params.items() if k.startswith("arc_")}
        rd.trees.forward(cell, params | single, forest, x)
    with refused(Refusal("params", "W, U, b for cell 'forget gate'", "'V'")):
        rd.trees.forward(cell, params | {"arc_V": x}, forest, x)


def test_wrong_directions_and_cotangents_are_named():
    cell, forest = rd.trees.child_sum_lstm(), rd.trees.forest([-1, 0])
    run = rd.trees.forward(cell, cell.init(N, H, dtype="float64"), forest, np.zeros((2, N)))
    with refused(Refusal("one of d_output, d_states, d_final")):
        rd.trees.backward(run)
    with refused(Refusal("d_output", "(2, 3)", "(2, 2)")):
        rd.trees.backward(run, np.zeros((2, 2)))
    with refused(Refusal("d_states", "h, c", "'z'")):
        rd.trees.backward(run, d_states={"z": np.zeros((2, H))})
    with refused(wrong_type("run", "TreeRun", "int")):
        rd.trees.backward(3, np.zeros((2, H)))
    with refused(Refusal("d_params", "", "'V'")):
        rd.trees.jvp(run, {"V": np.zeros(2)})
    with refused(Refusal("arcs", "1 arcs")):
        rd.trees.jacobian(run, [1])
    indices = rd.trees.forward(cell, run.params, forest, np.zeros(2, int))
    with refused(Refusal("d_x", "class indices")):
        rd.trees.jvp(indices, d_x=np.zeros((2, N)))
    with refused(wrong_type("run", "Run", "TreeRun")):
        rd.backward(run, np.zeros((2, H)))


def test_a_run_that_leaves_the_numbers_says_where():
    cell, forest = rd.trees.recursive(1, "relu"), rd.trees.forest([1, 2, -1])
    params = cell.init(1, 1, dtype="float32") | {"U": np.full((1, 1), 1e30, "float32")}
    x = np.full((3, 1), 1e20, "float32") * np.sign(params["W"])
    with pytest.raises(FloatingPointError, match=r"inf at node 1, of height 1: slot 'h'"):
        rd.trees.forward(cell, params, forest, x)
    assert np.isinf(rd.trees.forward(cell, params, forest, x, check_finite=False).output[1:]).all()


def test_cells_over_children_are_checked_and_pickled():
    with refused(Refusal("arc", "h (hidden), c (hidden)", "h (hidden)")):
        rd.trees.child_sum(rd.cells.lstm(), rd.cells.elman())
    with refused(wrong_type("node", "Cell", "int")):
        rd.trees.child_sum(3)
    with refused(Refusal("node", "read no memory", "")):
        rd.trees.child_sum(rd.cells.attention(rd.cells.gru()))
    with refused(Refusal("children", "at least 1", "0")):
        rd.trees.recursive(0)
    with refused(Refusal("recurrent", "h", "'c'")):
        rd.trees.n_ary("mine", ["h"], ["n"], lambda drive: {"h": drive.n}, 2, recurrent=["c"])
    with refused(wrong_type("state", "slots", "h")):
        rd.trees.n_ary("mine", "h", ["n"], lambda drive: {"h": drive.n}, 2)
    with pytest.raises(TypeError, match=r"every slot, \{h\}"):
        rd.trees.n_ary("mine", ["h"], ["n"], lambda drive: {"c": drive.n}, 2)
    for make in (rd.trees.child_sum_lstm, rd.trees.n_ary_lstm, rd.trees.recursive):
        cell = make()
        again = pickle.loads(pickle.dumps(cell))
        assert again.node.fingerprint == cell.node.fingerprint
        assert again.state == cell.state
