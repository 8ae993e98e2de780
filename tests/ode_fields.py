"""Fields that the tests of `recurrent_dynamics.ode` share: each uses drives in another way."""

from __future__ import annotations

from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, Drive, Unit, heads, low_rank
from recurrent_dynamics.equations import sigmoid, sin, tanh
from recurrent_dynamics.ode import Field, vector_field


def _rates(drive, state, constant):
    return {"h": (tanh(drive.n) - state.h) / constant.tau}


def _time_constants(drive, state, param):
    return {"h": (tanh(drive.n) - state.h) / param.tau}


def _chain(drive, state, param):
    return {"q": param.m * state.p, "p": -sin(drive.n) - 0.5 * state.q}


def _both_sides(drive, state):
    return {"p": -tanh(drive.f), "q": tanh(drive.v), "r": 0.5 * state.p}


def _apart(drive, state):
    r = sigmoid(drive.r)
    return {"h": tanh(drive.n.x + r * drive.n.h) - state.h}


def _called(drive, state):
    z = sigmoid(drive.z)
    return {"h": (1 - z) * (tanh(drive.n(z * state.h)) - state.h)}


def _pair(drive, state, signal):
    return {"y": tanh(drive.a) - state.z, "z": signal.s * state.y - state.z}


CHAIN = Field(
    "chain", ("q", "p"), (Drive("n", ("q",)),), _chain, units=(Unit("m", (0.8, 1.2)),), positions=("q",)
)
EXPLICIT = {
    f.name: f
    for f in (
        Field("rate network", ("h",), ("n",), _rates, constants={"tau": 0.7}),
        Field("diagonal", ("h",), (Drive("n", structure=DIAGONAL),), _rates, constants={"tau": 0.7}),
        Field("heads", ("h",), (Drive("n", structure=heads(2)),), _rates, constants={"tau": 0.7}),
        Field("low rank", ("h",), (Drive("n", structure=low_rank(2)),), _rates, constants={"tau": 0.7}),
        Field("apart", ("h",), ("r", "n"), _apart),
        Field("called", ("h",), ("z", "n"), _called),
        Field("called, diagonal", ("h",), ("z", Drive("n", structure=DIAGONAL)), _called),
        Field("pair", ("y", "z"), (Drive("a", ("z", "y")),), _pair, signals=("s",), output="z"),
        CHAIN,
        vector_field(cells.lstm_peephole(), tau=0.5),
        vector_field(cells.lstm_projected(2)),
        vector_field(cells.gru()),
        vector_field(cells.mut1()),
    )
}
PARTITIONED = {
    f.name: f
    for f in (
        CHAIN,
        Field("both sides", ("p", "q", "r"), (Drive("v", ("p",)), Drive("f", ("q", "r"))), _both_sides,
              positions=("q", "r")),
    )
}  # fmt: skip
LINEAR = Field(
    "leaky", ("h",), ("n",), _time_constants, units=(Unit("tau", (0.5, 1.5), low=0),),
    linear=lambda param: {"h": -1 / param.tau},
)  # fmt: skip
