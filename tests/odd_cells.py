"""Cells that no library needs but that the contract allows: each stretches one line of it."""

from __future__ import annotations

from recurrent_dynamics.cells import DIAGONAL, Cell, Drive, Slot, Unit, heads, low_rank
from recurrent_dynamics.equations import exp, maximum, mean, sigmoid, softplus, sqrt, tanh


def _oscillators(drive, state, constant):
    z = state.z + constant.dt * (tanh(drive.n) - constant.gamma * state.y - constant.epsilon * state.z)
    return {"y": state.y + constant.dt * z, "z": z}


def _two_time_scales(drive, state, constant):
    slow, fast = constant.dt * sigmoid(drive.slow), constant.dt * sigmoid(drive.fast)
    z = (1 - slow) * state.z + slow * tanh(drive.z)
    return {"y": (1 - fast) * state.y + fast * tanh(drive.y(z)), "z": z}


def _three_stages(drive, state):
    a = tanh(drive.a(sigmoid(state.h)))
    b = tanh(drive.b(a * state.h))
    return {"h": tanh(drive.c(a + b) + a)}


def _gathered(drive, state):
    return {"y": tanh(drive.n), "q": 0.5 * state.q + state.y, "z": sigmoid(drive.n) * state.q}


def _widths(drive, state):
    k = tanh(drive.k)
    return {"h": tanh(drive.n(k)), "m": 0.5 * state.m + k}


def _raw_operand(drive, state):
    return {"h": tanh(drive.n(drive.k)) + 0.1 * state.h}


def _side_by_side(drive, state):
    k = tanh(drive.k)
    return {"h": tanh(drive.n(state.h * state.h, k, state.h)) * sigmoid(drive.z(state.h))}


def _one_operand_twice(drive, state):
    v = state.h * sigmoid(drive.r)
    return {"h": tanh(drive.a(v)) + 0.5 * tanh(drive.b(v)) * v}


def _constant_slots(drive, state):
    return {"h": tanh(drive.n) + 0.1 * state.one, "one": 1.0, "old": state.h, "raw": drive.n}


def _no_matrix(state, param):
    return {"h": param.alpha * state.h + tanh(param.beta * state.h)}


def _apart(drive, state):
    return {"h": tanh(drive.n.x * drive.n.h + drive.n.h) + 0.1 * state.h}


def _gated(drive, state):
    z = sigmoid(drive.z)
    return {"h": z * state.h + (1 - z) * tanh(drive.n(z * state.h))}


def _signals(drive, state, signal):
    return {"h": state.h * exp(-signal.dt) + tanh(drive.n(signal.s * state.h)) * signal.dt}


def _raw_input(state, param, signal):
    return {"h": tanh(param.a * state.h + signal.x)}


def _means(drive, state):
    centred = state.h - mean(state.h)
    return {"h": tanh(drive.n) + centred / sqrt(mean(centred * centred) + 0.1) * mean(drive.n)}


def _mean_multiplied(drive, state):
    whole = mean(state.h)  # of all units, also where a product reads it
    return {"h": tanh(drive.n(whole * state.h, whole)) + mean(mean(drive.k) * drive.k)}


def _units(drive, state, param):
    rate = 1 / param.tau
    return {
        "h": state.h + rate * (maximum(drive.n, param.floor) - state.h) + 0.0 * param.share,
        "k": param.gain * state.k + (1 - param.gain) * softplus(drive.k),
    }


def _bare_operands(drive, state, param, signal, constant):
    return {"h": tanh(drive.a(state.h) + drive.b(param.p) + drive.c(signal.s)) + constant.c * state.h}


def _two_sums(drive, state):
    return {"y": tanh(drive.a), "z": state.z + 0.1 * tanh(drive.b * state.y)}


def _names_like_blocks(drive, param):
    n = tanh(drive.n.x + param.U_n * drive.n.h)
    return {"h": n + 0.1 * tanh(drive.h + param.W_n * drive.left) * sigmoid(drive.m + param.b_m)}


NARROW = Drive("k", width="2")
BOTH = ("y", "z")

ODD = {
    cell.name: cell
    for cell in (
        Cell(
            "coupled oscillators",
            ("y", "z"),
            ("n",),
            _oscillators,
            recurrent=("y", "z"),
            constants={"dt": 0.1, "gamma": 2.0, "epsilon": 0.5},
        ),
        Cell(
            "two time scales",
            ("y", "z"),
            ("slow", "fast", "z", "y"),
            _two_time_scales,
            constants={"dt": 0.5},
        ),
        Cell("three stages", ("h",), ("c", "a", Drive("b", input=False, bias=False)), _three_stages),
        Cell("slots gathered", ("y", "q", "z"), ("n",), _gathered, recurrent=("z", "y"), output="q"),
        Cell("widths", ("h", Slot("m", "2")), (NARROW, "n"), _widths, recurrent=("m",)),
        Cell("a drive as operand", ("h",), (NARROW, "n"), _raw_operand),
        Cell("operands side by side", ("h",), ("n", NARROW, "z"), _side_by_side),
        Cell("one operand twice", ("h",), ("a", "b", "r"), _one_operand_twice),
        Cell("constant slots", ("h", "one", "old", "raw"), ("n",), _constant_slots),
        Cell("no matrix", ("h",), (), _no_matrix, units=(Unit("alpha", (0.2, 0.8), 0, 1), Unit("beta"))),
        Cell("apart and normalized", ("h",), ("n",), _apart, normalized=True),
        Cell("apart and diagonal", ("h",), (Drive("n", structure=DIAGONAL),), _apart),
        Cell("apart and in heads", ("h",), (Drive("n", structure=heads(2)),), _apart),
        Cell("apart, low rank, normalized", ("h",), (Drive("n", structure=low_rank(2)),), _apart, normalized=True),
        Cell("called, low rank", ("h",), ("z", Drive("n", structure=low_rank(1))), _gated),
        Cell("called, low rank, normalized", ("h",), ("z", Drive("n", structure=low_rank(2))), _gated, normalized=True),
        Cell("called, diagonal, normalized", ("h",), ("z", Drive("n", structure=DIAGONAL)), _gated, normalized=("n",)),
        Cell("called, in heads", ("h",), ("z", Drive("n", structure=heads(2))), _gated),
        Cell("gate without operand or input", ("h",), (Drive("z", operand=(), input=False), "n"), _gated),
        Cell("gate without operand or bias", ("h",), (Drive("z", operand=(), bias=False), "n"), _gated),
        Cell("signals", ("h",), ("n",), _signals, signals=("s", "dt")),
        Cell("the input itself", ("h",), (), _raw_input, units=(Unit("a", 0.5),), signals=("x",)),
        Cell("means", ("h",), ("n",), _means),
        Cell("a mean in a product", ("h",), ("k", Drive("n", operand=None)), _mean_multiplied),
        Cell(
            "constrained units",
            ("h", Slot("k", "2")),
            ("n", NARROW),
            _units,
            units=(
                Unit("tau", (1.0, 3.0), low=0.5),
                Unit("floor"),
                Unit("share", 0.5, 0, 1),
                Unit("gain", 0.3, -1, 1, width="2"),
            ),
        ),
        Cell(
            "bare operands",
            ("h",),
            ("a", "b", "c"),
            _bare_operands,
            units=(Unit("p", (0, 1)),),
            signals=("s",),
            constants={"c": 0.25},
        ),
        Cell("slots in two orders", BOTH, (Drive("a", BOTH), Drive("b", ("z", "y"), input=False)), _two_sums),
        Cell(
            "two slots in heads",
            BOTH,
            (Drive("a", BOTH, structure=heads(2)), Drive("b", ("z",), input=False, bias=False)),
            _two_sums,
        ),
        Cell(
            "two slots of low rank, one diagonal",
            BOTH,
            (Drive("a", BOTH, structure=low_rank(2)), Drive("b", ("z",), input=False, structure=DIAGONAL)),
            _two_sums,
            normalized=("a",),
        ),
        Cell(
            "names like those of blocks",
            ("h",),
            ("n", "h", "left", Drive("m", structure=low_rank(1))),
            _names_like_blocks,
            units=(Unit("U_n", 0.5), Unit("W_n", 0.5), Unit("b_m", 0.5)),
        ),
    )
}  # fmt: skip
