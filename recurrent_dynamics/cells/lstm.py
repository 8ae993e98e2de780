"""Long short-term memory and its variants."""

from __future__ import annotations

from ..equations.nonlinearities import sigmoid, tanh
from .cell import Cell
from .declarations import Drive, Slot, Unit
from .recipe import remembered


@remembered()
def lstm() -> Cell:
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000)."""

    def update(drive, state):
        i, f, o = sigmoid(drive.i), sigmoid(drive.f), sigmoid(drive.o)
        c = f * state.c + i * tanh(drive.g)
        return {"h": o * tanh(c), "c": c}

    return Cell("lstm", state=("h", "c"), drives=("i", "f", "g", "o"), update=update)


@remembered()
def lstm_peephole() -> Cell:
    """LSTM whose gates see the cell state: i and f the old one, o the new one (Gers and Schmidhuber 2000)."""

    def update(drive, state, param):
        i = sigmoid(drive.i + param.p_i * state.c)
        f = sigmoid(drive.f + param.p_f * state.c)
        c = f * state.c + i * tanh(drive.g)
        o = sigmoid(drive.o + param.p_o * c)
        return {"h": o * tanh(c), "c": c}

    return Cell(
        "lstm with peepholes",
        state=("h", "c"),
        drives=("i", "f", "g", "o"),
        units=(Unit("p_i"), Unit("p_f"), Unit("p_o")),
        update=update,
    )


@remembered()
def lstm_coupled() -> Cell:
    """LSTM with coupled gates, i = 1 - f: what is written is what is forgotten (Greff et al. 2017)."""

    def update(drive, state):
        f, o = sigmoid(drive.f), sigmoid(drive.o)
        c = f * state.c + (1 - f) * tanh(drive.g)
        return {"h": o * tanh(c), "c": c}

    return Cell("lstm with coupled gates", state=("h", "c"), drives=("f", "g", "o"), update=update)


@remembered()
def lstm_projected(projection_size: int = 32) -> Cell:
    """LSTM that hands on a linear projection of its output (Sak et al. 2014; `proj_size` of PyTorch).

    Parameters
    ----------
    projection_size
        Width of h. The matrix of the projection is `params["U_h"]`, of shape (projection_size, H).

    Examples
    --------
    >>> params = lstm_projected(2).init(input_size=3, hidden_size=4)
    >>> {name: array.shape for name, array in params.items()}
    {'W': (16, 3), 'U': (16, 2), 'U_h': (2, 4), 'b': (16,)}
    """

    def update(drive, state):
        i, f, o = sigmoid(drive.i), sigmoid(drive.f), sigmoid(drive.o)
        c = f * state.c + i * tanh(drive.g)
        return {"h": drive.h(o * tanh(c)), "c": c}

    projection = Drive("h", input=False, bias=False, width=str(projection_size))
    return Cell(
        "lstm with a projection",
        state=(Slot("h", str(projection_size)), "c"),
        drives=("i", "f", "g", "o", projection),
        update=update,
    )
