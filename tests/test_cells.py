"""The cells of the library against the equations of their papers, written out; names, biases, LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import ode_equations
import pytest
from refusals import Refusal, refused

from recurrent_dynamics import cells
from recurrent_dynamics.cells import NAMED, Cell
from recurrent_dynamics.engine import reference

B, N, H, P = 3, 4, 4, 2
Arrays = dict[str, np.ndarray]


def sigm(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


class Blocks:
    """Blocks of stacked parameters by the letters of their drives, in the order given."""

    def __init__(self, params: Arrays, **orders: str) -> None:
        for name, order in orders.items():
            for letter, block in zip(order, np.split(params[name], len(order))):
                setattr(self, f"{name}_{letter}", block)


def linear(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    return {"h": x @ p["W"].T + s["h"] @ p["U"].T + p["b"]}


def elman(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    return {"h": np.tanh(linear(p, x, s)["h"])}


def leaky(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    return {"h": 0.9 * s["h"] + (1 - 0.9) * elman(p, x, s)["h"]}


def es2n(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    U, O = np.split(p["U"], 2)
    return {"h": 0.9 * s["h"] @ O.T + (1 - 0.9) * np.tanh(x @ p["W"].T + s["h"] @ U.T + p["b"])}


def indrnn(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    return {"h": np.maximum(x @ p["W"].T + s["h"] * p["U"] + p["b"], 0)}


def lstm(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    i, f, g, o = np.split(x @ p["W"].T + s["h"] @ p["U"].T + p["b"], 4, axis=1)
    c = sigm(f) * s["c"] + sigm(i) * np.tanh(g)
    return {"h": sigm(o) * np.tanh(c), "c": c}


def lstm_peephole(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    i, f, g, o = np.split(x @ p["W"].T + s["h"] @ p["U"].T + p["b"], 4, axis=1)
    c = sigm(f + p["p_f"] * s["c"]) * s["c"] + sigm(i + p["p_i"] * s["c"]) * np.tanh(g)
    return {"h": sigm(o + p["p_o"] * c) * np.tanh(c), "c": c}


def lstm_coupled(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    f, g, o = np.split(x @ p["W"].T + s["h"] @ p["U"].T + p["b"], 3, axis=1)
    c = sigm(f) * s["c"] + (1 - sigm(f)) * np.tanh(g)
    return {"h": sigm(o) * np.tanh(c), "c": c}


def lstm_projected(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    new = lstm(p, x, s)
    return {"h": new["h"] @ p["U_h"].T, "c": new["c"]}


def gru(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    of_x, of_h = np.split(x @ p["W"].T + p["b"], 3, axis=1), np.split(s["h"] @ p["U"].T, 3, axis=1)
    r, z = sigm(of_x[0] + of_h[0]), sigm(of_x[1] + of_h[1])
    n = np.tanh(of_x[2] + r * (of_h[2] + p["b_h"]))
    return {"h": (1 - z) * n + z * s["h"]}


def gru_reset_before(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    q = Blocks(p, W="rzn", U="rzn", b="rzn")
    r = sigm(x @ q.W_r.T + s["h"] @ q.U_r.T + q.b_r)
    z = sigm(x @ q.W_z.T + s["h"] @ q.U_z.T + q.b_z)
    n = np.tanh(x @ q.W_n.T + (r * s["h"]) @ q.U_n.T + q.b_n)
    return {"h": (1 - z) * n + z * s["h"]}


def minimal_gated_unit(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    q = Blocks(p, W="fn", U="fn", b="fn")
    f = sigm(x @ q.W_f.T + s["h"] @ q.U_f.T + q.b_f)
    n = np.tanh(x @ q.W_n.T + (f * s["h"]) @ q.U_n.T + q.b_n)
    return {"h": (1 - f) * s["h"] + f * n}


def mut1(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    q, h = Blocks(p, W="zr", U="rn", b="zrn"), s["h"]
    z = sigm(x @ q.W_z.T + q.b_z)
    r = sigm(x @ q.W_r.T + h @ q.U_r.T + q.b_r)
    return {"h": np.tanh((r * h) @ q.U_n.T + np.tanh(x) + q.b_n) * z + h * (1 - z)}


def mut2(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    q, h = Blocks(p, W="zn", U="zrn", b="zrn"), s["h"]
    z = sigm(x @ q.W_z.T + h @ q.U_z.T + q.b_z)
    r = sigm(x + h @ q.U_r.T + q.b_r)
    return {"h": np.tanh((r * h) @ q.U_n.T + x @ q.W_n.T + q.b_n) * z + h * (1 - z)}


def mut3(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    q, h = Blocks(p, W="zrn", U="zrn", b="zrn"), s["h"]
    z = sigm(x @ q.W_z.T + np.tanh(h) @ q.U_z.T + q.b_z)
    r = sigm(x @ q.W_r.T + h @ q.U_r.T + q.b_r)
    return {"h": np.tanh((r * h) @ q.U_n.T + x @ q.W_n.T + q.b_n) * z + h * (1 - z)}


def min_gru(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    z, n = np.split(x @ p["W"].T + p["b"], 2, axis=1)
    return {"h": (1 - sigm(z)) * s["h"] + sigm(z) * n}


def min_lstm(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    f, i, n = np.split(x @ p["W"].T + p["b"], 3, axis=1)
    f, i = sigm(f), sigm(i)
    return {"h": f / (f + i) * s["h"] + i / (f + i) * n}


PRINTED: dict[str, Callable[..., Arrays]] = {
    f.__name__: f
    for f in (
        linear, elman, leaky, es2n, indrnn, lstm, lstm_peephole, lstm_coupled, lstm_projected, gru, gru_reset_before,
        minimal_gated_unit, mut1, mut2, mut3, min_gru, min_lstm,
    )
}  # fmt: skip
PRINTED |= ode_equations.PRINTED


def some(cell: Cell, rng: np.random.Generator) -> tuple[Arrays, np.ndarray, Arrays]:
    """Parameters, input and state."""
    params = {name: rng.standard_normal(v.shape) for name, v in cell.init(N, H, dtype="float64").items()}
    state = {s.name: rng.standard_normal((B, s.width)) for s in cell.layout(N, H).slots}
    return params, rng.standard_normal((B, N)), state


def test_all_are_written_out() -> None:
    assert list(PRINTED) == list(NAMED)


@pytest.mark.parametrize("name", PRINTED)
def test_equations_as_printed(name: str, rng: np.random.Generator) -> None:
    cell = cells.lstm_projected(P) if name == "lstm_projected" else NAMED[name]()
    params, x, state = some(cell, rng)
    came, wanted = reference.step(cell, params, x, state), PRINTED[name](params, x, state)
    for slot in cell.state:
        np.testing.assert_allclose(came[slot], wanted[slot], rtol=1e-12, atol=1e-14)


def test_gates_of_the_leaky_network(rng: np.random.Generator) -> None:
    learnt, computed = cells.leaky(0.75, gate="learnt"), cells.leaky(0.75, gate="input")
    params, x, state = some(learnt, rng)
    alpha = sigm(params["alpha"])
    wanted = alpha * state["h"] + (1 - alpha) * elman(params, x, state)["h"]
    np.testing.assert_allclose(reference.step(learnt, params, x, state)["h"], wanted, rtol=1e-12)

    params, x, state = some(computed, rng)
    q = Blocks(params, W="an", b="an")
    alpha, n = sigm(x @ q.W_a.T + q.b_a), np.tanh(x @ q.W_n.T + state["h"] @ params["U"].T + q.b_n)
    wanted = alpha * state["h"] + (1 - alpha) * n
    np.testing.assert_allclose(reference.step(computed, params, x, state)["h"], wanted, rtol=1e-12)

    assert np.allclose(sigm(learnt.init(N, H)["alpha"]), 0.75)
    assert np.allclose(sigm(computed.init(N, H)["b"][:H]), 0.75)
    assert np.allclose(computed.init(N, H)["b"][H:], 0)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"alpha": 1.5}, Refusal("alpha", ("0", "1"), "1.5")),
        ({"alpha": 1.0, "gate": "learnt"}, Refusal("alpha", "(0, 1)", "1.0")),
        ({"alpha": math.nan}, Refusal("alpha", "1", "nan")),
        ({"gate": "half"}, Refusal("gate", came="'half'")),
        ({"activation": "tanhh"}, Refusal("activation", came="'tanhh'")),
    ],
)
def test_leaky_refuses(options: dict, refusal: Refusal) -> None:
    with refused(refusal):
        cells.leaky(**options)


def test_what_is_kept_is_turned() -> None:
    params = cells.es2n(0.5).init(N, H, rng=1, dtype="float64")
    assert np.allclose(params["U"][H:] @ params["U"][H:].T, np.eye(H))
    assert not np.allclose(params["U"][:H] @ params["U"][:H].T, np.eye(H))
    with refused("alpha", "lie in [0, 1]", "1.5"):
        cells.es2n(1.5)


def test_by_name() -> None:
    assert cells.by_name("lstm").state == ("h", "c")
    assert cells.by_name("leaky", alpha=0.5).constants == {"alpha": 0.5}
    with refused("name", ("linear, elman", "unitary_rnn"), "'lstmm'"):
        cells.by_name("lstmm")
    assert all(getattr(cells, name) is make for name, make in NAMED.items())
    assert set(NAMED) <= set(cells.__all__)


class TestBias:
    def test_rows_of_a_drive(self) -> None:
        cell = cells.lstm()
        params = cell.init(N, H)
        new = cells.with_bias(cell, params, f=1.0, o=np.arange(H))
        assert new["b"].dtype == np.float32
        assert new["b"].reshape(4, H).tolist() == [[0] * H, [1] * H, [0] * H, list(range(H))]
        assert not params["b"].any()
        assert new["W"] is params["W"]

    def test_side_of_a_drive_kept_apart(self) -> None:
        cell = cells.gru()
        new = cells.with_bias(cell, cell.init(N, H), n=1.0, n_h=2.0)
        assert new["b"].tolist() == [0] * 2 * H + [1] * H
        assert new["b_h"].tolist() == [2] * H

    def test_offset_of_a_normalized_drive(self) -> None:
        cell = cells.lstm().with_normalization(["f"])
        new = cells.with_bias(cell, cell.init(N, H), f=1.0, o=3.0)
        assert new["offset_f"].tolist() == [1] * H
        assert new["b"].tolist() == [0] * 2 * H + [3] * H

    def test_in_the_definition(self) -> None:
        def update(drive, state):
            return {"h": drive.z * state.h + drive.n}

        cell = Cell("biased", ("h",), ("z", "n"), update, bias={"z": 2.0})
        assert cell.init(N, H)["b"].tolist() == [2] * H + [0] * H
        assert cell.with_normalization().init(N, H)["offset_z"].tolist() == [2] * H

    @pytest.mark.parametrize("normalized", [False, True])
    def test_in_the_definition_belong_to_one_part(self, normalized: bool) -> None:
        apart = Cell("apart", ("h",), ("n",), lambda drive: {"h": drive.n.x + drive.n.h}, bias={"n": 2.0})
        alike = Cell("alike", ("h",), ("n", "n_h"), lambda drive: {"h": drive.n + drive.n_h}, bias={"n": 2.0})
        for cell in (apart, alike):
            params = (cell.with_normalization() if normalized else cell).init(N, H)
            biases = [value for name, value in params.items() if name.startswith(("b", "offset"))]
            assert np.concatenate(biases).tolist() == [2] * H + [0] * H

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"q": 1.0}, Refusal("drive", ("have a bias", "i, f, g, o"), "'q'")),
            (
                {"f": np.zeros(3)},
                Refusal("the bias of drive f", "be a finite number or have shape (4,)", "shape (3,)"),
            ),
            ({"f": math.inf}, Refusal("the bias of drive f", came="inf")),
        ],
    )
    def test_refuses(self, values: dict, words: str) -> None:
        cell = cells.lstm()
        with refused(words):
            cells.with_bias(cell, cell.init(N, H), **values)

    def test_chrono(self) -> None:
        cell = cells.lstm()
        params = cells.chrono(cell, cell.init(N, 500), longest=1000, rng=1)
        i, f, g, o = params["b"].reshape(4, 500)
        assert np.array_equal(i, -f)
        assert not g.any()
        assert not o.any()
        assert 1 <= np.exp(f).min() < 20
        assert 950 < np.exp(f).max() <= 999.001
        alone = cells.chrono(cells.lstm_coupled(), cells.lstm_coupled().init(N, H), longest=10)
        assert alone["b"][:H].all()
        with refused("cell", "forget gate", "'gru' with r, z, n, n_h"):
            cells.chrono(cells.gru(), cells.gru().init(N, H), longest=10)


LATEX = {
    "lstm_peephole": r"""
i_t &= \sigma\left(W_i x_t + U_i h_{t-1} + b_i + p_i \odot c_{t-1}\right) \\
f_t &= \sigma\left(W_f x_t + U_f h_{t-1} + b_f + p_f \odot c_{t-1}\right) \\
c_t &= f_t \odot c_{t-1} + i_t \odot \tanh\left(W_g x_t + U_g h_{t-1} + b_g\right) \\
o_t &= \sigma\left(W_o x_t + U_o h_{t-1} + b_o + p_o \odot c_t\right) \\
h_t &= o_t \odot \tanh\left(c_t\right)
""",
    "gru": r"""
r_t &= \sigma\left(W_r x_t + U_r h_{t-1} + b_r\right) \\
z_t &= \sigma\left(W_z x_t + U_z h_{t-1} + b_z\right) \\
n_t &= \tanh\left(W_n x_t + b_n + r_t \odot \left(U_n h_{t-1} + b_{n,h}\right)\right) \\
h_t &= \left(1 - z_t\right) \odot n_t + z_t \odot h_{t-1}
""",
    "mut1": r"""
z_t &= \sigma\left(W_z x_t + b_z\right) \\
r_t &= \sigma\left(W_r x_t + U_r h_{t-1} + b_r\right) \\
n_t &= \tanh\left(U_n \left(r_t \odot h_{t-1}\right) + b_n + \tanh\left(x_t\right)\right) \\
h_t &= n_t \odot z_t + h_{t-1} \odot \left(1 - z_t\right)
""",
    "indrnn": r"""
h_t &= \operatorname{relu}\left(W x_t + u \odot h_{t-1} + b\right)
""",
    "leaky": r"""
h_t &= \alpha \, h_{t-1} + \left(1 - \alpha\right) \, \tanh\left(W x_t + U h_{t-1} + b\right)
""",
}


@pytest.mark.parametrize("name", LATEX)
def test_latex(name: str) -> None:
    assert NAMED[name]()._repr_latex_() == f"$$\n\\begin{{aligned}}{LATEX[name]}\\end{{aligned}}\n$$"


def test_latex_of_options() -> None:
    normalized = cells.gru().with_normalization(["n"])._repr_latex_()
    assert r"\operatorname{LN}_n\left(W_n x_t\right) + r_t \odot \operatorname{LN}_{n,h}" in normalized
    assert "U_r V_r h_{t-1}" in cells.gru().with_structure(cells.low_rank(2))._repr_latex_()
    assert r"\alpha \odot h_{t-1}" in cells.leaky(gate="learnt")._repr_latex_()
    assert r"a_t &= W x_t" in cells.elman("elu")._repr_latex_()  # used twice: a line of its own


def test_latex_is_well_formed() -> None:
    from odd_cells import ODD

    for cell in [*(make() for make in NAMED.values()), *ODD.values()]:
        text = cell._repr_latex_()
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")
        lines = text.splitlines()[2:-2]
        left = [line.split(" &= ")[0] for line in lines]
        assert len(set(left)) == len(left), text
