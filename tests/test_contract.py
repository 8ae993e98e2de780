"""The contract of a cell: what breaks it is refused, with its line; what changes the equations changes what runs."""

from __future__ import annotations

import math
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from refusals import refused

from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, Cell, Drive, Slot, Unit, low_rank
from recurrent_dynamics.equations import DefinitionError, sigmoid, tanh
from recurrent_dynamics.equations.record import record


def make(update: Any, state: Any = ("h",), drives: Any = ("n",), **options: Any) -> Callable[[], Cell]:
    return lambda: Cell("a cell", state=state, drives=drives, update=update, **options)


def branching(drive, state):
    return {"h": drive.n if state.h > 0 else state.h}


def ordered(drive, state):
    return {"h": max(drive.n, state.h)}


def twice(drive, state):
    return {"h": drive.n(state.h) + drive.n(state.h)}


def both(drive, state):
    return {"h": drive.n + drive.n(state.h)}


def side_and_sum(drive):
    return {"h": drive.n + drive.n.x}


def sides(drive):
    return {"h": drive.n.x + drive.n.h * drive.n_h}


def pair(drive, state):
    return {"h": tanh(drive.n(state.h, state.h))}


def plain(drive):
    return {"h": tanh(drive.n)}


def gated(drive, param):
    return {"h": tanh(drive.n) * param.a}


def product(drive, state):
    return {"h": drive.n * state.h}


def copied(drive):
    return {"h": drive.n, "m": drive.n}


def three(drive, state):
    return {"h": drive.first * drive.left + drive.n, "m": state.m}


# The block of drive left has other columns than that of the first, stands apart and is called U_left.
LIKE_FACTORS = (Drive("first", ("h",)), Drive("left", ("m",)), Drive("n", ("h",), structure=low_rank(1)))
VECTOR = np.ones(3)
REFUSED: dict[str, tuple[int, str, Callable[[], Cell]]] = {
    # what is wrong: (line of the contract, words of the message, definition)
    "no function": (1, "update is a function", make("tanh")),
    "unknown argument": (1, "asks for weather", make(lambda drive, weather: {"h": drive.n})),
    "unknown drive": (2, "drive.m, declared are n", make(lambda drive: {"h": drive.m})),
    "unknown slot": (2, "state.c, declared are h", make(lambda drive, state: {"h": drive.n * state.c})),
    "unknown param": (2, "param.p, declared are none", make(lambda drive, param: {"h": drive.n * param.p})),
    "unknown signal": (2, "signal.dt, declared are none", make(lambda drive, signal: {"h": drive.n * signal.dt})),
    "unknown constant": (2, "constant.k, declared", make(lambda drive, constant: {"h": drive.n * constant.k})),
    "unused drive": (2, "not used: drive z", make(plain, drives=("n", "z"))),
    "called and used": (3, "used as called and as value", make(both)),
    "called twice": (3, "drive.n is completed twice", make(twice)),
    "side and sum": (3, "used as apart and as value", make(side_and_sum)),
    "call without operand": (3, "without an operand", make(lambda drive: {"h": tanh(drive.n())})),
    "number as operand": (3, "operand of drive.n", make(lambda drive: {"h": tanh(drive.n(0.5))})),
    "apart without operand": (3, "has no operand", make(lambda drive: {"h": drive.n.x + drive.n.h}, recurrent=())),
    "diagonal of two": (4, "takes one operand", make(pair, drives=(Drive("n", structure=DIAGONAL),))),
    "structure of nothing": (4, "no operand", make(plain, drives=(Drive("n", (), structure=low_rank(1)),))),
    "structure by name": (4, "'diagonal'", lambda: Drive("n", structure="diagonal")),  # type: ignore[arg-type]
    "math": (5, "math", make(lambda drive: {"h": math.tanh(drive.n)})),
    "branch": (5, "instead of branches", make(branching)),
    "order": (5, "instead of branches", make(ordered)),
    "unknown function": (5, "numpy.arctan has no derivative", make(lambda drive: {"h": np.arctan(drive.n)})),
    "reduction": (5, "", make(lambda drive: {"h": np.add.reduce(drive.n)})),
    "array": (5, "not ndarray", make(lambda drive: {"h": drive.n * VECTOR})),
    "infinite number": (5, "not float (inf)", make(lambda drive: {"h": drive.n * np.inf})),
    "text": (5, "not str", make(lambda drive: {"h": drive.n + "x"})),
    "fractional exponent": (5, "whole numbers", make(lambda drive: {"h": drive.n**0.5})),
    "exponent that varies": (5, "whole numbers", make(lambda drive, state: {"h": state.h**drive.n})),
    "widths meet": (6, "3 and hidden", make(product, drives=(Drive("n", width="3"),))),
    "width of a slot": (6, "slot m has width 3", make(copied, ("h", Slot("m", "3")))),
    "missing slot": (7, "{h, c}; came h", make(plain, state=("h", "c"))),
    "slot too many": (7, "came h, m", make(copied)),
    "no dict": (7, "came Recorded", make(lambda drive: tanh(drive.n))),
    "bad identifier": (8, "'my drive'", make(plain, drives=("n", "my drive"))),
    "two underscores": (8, "'n__h'", make(plain, drives=("n", "n__h"))),
    "duplicate": (8, "drive n is declared twice", make(plain, drives=("n", "n"))),
    "no state": (8, "at least one slot", make(plain, state=())),
    "text for a sequence": (8, "state is a sequence", make(plain, state="h")),
    "output": (8, "output names the slot 'c'", make(plain, output="c")),
    "recurrent": (8, "recurrent names the slot 'c'", make(plain, recurrent=("c",))),
    "operand": (8, "operand of drive n names the slot 'c'", make(plain, drives=(Drive("n", ("c",)),))),
    "normalized": (8, "normalized names the drive 'z'", make(plain, normalized=("z",))),
    "normalized nothing": (8, "sums nothing", make(plain, drives=(Drive("n", (), input=False),), normalized=True)),
    "bias": (8, "bias names the drive 'z'", make(plain, bias={"z": 1.0})),
    "bias of none": (8, "'n', which has none", make(plain, drives=(Drive("n", bias=False),), bias={"n": 1.0})),
    "operand as text": (8, "operand of drive n is a sequence", lambda: Drive("n", "h")),  # type: ignore[arg-type]
    "signal like a drive": (8, "n is a signal and a drive", make(plain, signals=("n",))),
    "drive like a side": (8, "drive n_h has the name of", make(sides, drives=("n", "n_h"))),
    "drive like a factor": (8, "of another shape, U_left", make(three, ("h", Slot("m", "3")), LIKE_FACTORS)),
    "infinite constant": (8, "constant k is a finite number, came inf", make(plain, constants={"k": np.inf})),
    "bias not a number": (8, "bias n is a finite number, came nan", make(plain, bias={"n": np.nan})),
    "param called U": (8, "U is a param", make(lambda drive, param: {"h": drive.n * param.U}, units=(Unit("U"),))),
    "param like a gain": (
        8,
        "gain_n is a param",
        make(lambda drive, param: {"h": drive.n * param.gain_n}, units=(Unit("gain_n"),), normalized=True),
    ),
    "width zero": (8, "slot h", lambda: Slot("h", "0")),
    "width as a number": (8, "drive n", lambda: Drive("n", width=3)),  # type: ignore[arg-type]
    "bounds": (8, "low < high", lambda: Unit("a", 0.5, low=1, high=0)),
    "high alone": (8, "a low where it has a high", lambda: Unit("a", 0.5, high=1)),
    "start at a bound": (8, "starts between", lambda: Unit("a", low=0, high=1)),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_its_line(what: str) -> None:
    line, words, definition = REFUSED[what]
    with pytest.raises(DefinitionError) as caught:
        definition()
    message = str(caught.value)
    assert message.startswith(f"line {line} of the contract:"), message
    assert words in message
    assert "\n" not in message


def test_sequences_of_any_kind_define_the_same_cell() -> None:
    def update(drive, param, signal):
        return {"h": drive.n * param.a * signal.s}

    one = Cell("a cell", ("h",), ("n",), update, units=(Unit("a"),), signals=("s",))
    other = Cell("a cell", ["h"], ["n"], update, units=[Unit("a")], signals=iter(["s"]))  # type: ignore[arg-type]
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("name", ["mean", "use", "complete", "products", "graph"])
def test_a_drive_may_have_any_name(name: str) -> None:
    cell = Cell("a cell", ("h",), (name,), lambda drive: {"h": tanh(getattr(drive, name))})
    assert cell.fingerprint != make(plain)().fingerprint
    assert cell.schedule.usage == {name: "value"}


def test_structure_of_chosen_drives() -> None:
    with refused("drives", "multiply by U, none", "none"):
        cells.min_gru().with_structure(DIAGONAL)
    with refused("drives", came="q"):
        cells.lstm().with_structure(DIAGONAL, ["q"])
    assert cells.mut1().with_structure(DIAGONAL).init(2, 2)["U"].shape == (4,)  # z does not see the state


def test_widths_survive_a_variant() -> None:
    cell = cells.lstm_projected(2).with_normalization(["i"])
    assert [slot.width for slot in cell.slots] == ["2", "hidden"]


def leak(rate: float) -> Callable[..., Any]:
    def update(drive, state):
        return {"h": rate * state.h + tanh(drive.n)}

    return update


def variants() -> dict[str, Cell]:
    """Cells that differ in one thing each."""
    scale = 2.0

    def helper(v):
        return v * scale

    def other_helper(v):
        return v * scale + v

    common: dict[str, Any] = {"state": ("h",), "drives": ("n",)}
    updates = {
        "plain": plain,
        "edited": lambda drive: {"h": sigmoid(drive.n)},
        "number": lambda drive: {"h": 2 * tanh(drive.n)},
        "other number": lambda drive: {"h": 3 * tanh(drive.n)},
        "closure": leak(0.5),
        "other closure": leak(0.25),
        "helper": lambda drive: {"h": tanh(helper(drive.n))},
        "other helper": lambda drive: {"h": tanh(other_helper(drive.n))},
    }
    made = {name: Cell("same name", update=update, **common) for name, update in updates.items()}
    made["normalized"] = made["plain"].with_normalization()
    made["diagonal"] = made["plain"].with_structure(DIAGONAL)
    made["no bias"] = Cell("same name", state=("h",), drives=(Drive("n", bias=False),), update=plain)
    made["other width"] = Cell(
        "same name", state=(Slot("h", "3"),), drives=(Drive("n", width="3"),), update=plain
    )
    return made


def test_fingerprints_differ() -> None:
    prints = {name: cell.fingerprint for name, cell in variants().items()}
    assert len(set(prints.values())) == len(prints), prints


def test_fingerprint_does_not_depend_on_process_or_line() -> None:
    def again(drive):
        value = drive.n
        return {"h": tanh(value)}

    same = Cell("same name", state=("h",), drives=("n",), update=again)
    assert same.fingerprint == variants()["plain"].fingerprint
    script = (
        "from recurrent_dynamics.cells import gru, lstm_peephole; "
        "print(gru().fingerprint, lstm_peephole().fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [cells.gru().fingerprint, cells.lstm_peephole().fingerprint]


@pytest.mark.parametrize(
    ("install", "installed"), [(sys.setprofile, sys.getprofile), (sys.settrace, sys.gettrace)]
)
def test_local_values_keep_their_names_under_a_profiler_and_coverage(install: Any, installed: Any) -> None:
    cell, before = cells.lstm(), installed()
    install(lambda *event: None)
    try:
        watched = record(cell).graph
    finally:
        install(before)
    assert set(watched.names.values()) == {"i", "f", "o", "c"}
    assert watched.names == record(cell).graph.names
    assert watched.frame is None


def test_a_constant_is_no_part_of_the_fingerprint() -> None:
    assert cells.leaky(0.9).fingerprint == cells.leaky(0.1).fingerprint
    assert cells.leaky(0.9).fingerprint != cells.leaky(0.9, gate="learnt").fingerprint


MODULE = """
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.equations import tanh

def helper(v):
    return {factor} * v

def update(drive):
    return {{"h": helper(tanh(drive.n))}}

cell = Cell("edited between processes", state=("h",), drives=("n",), update=update)
"""

SCRIPT = """
import sys
import numpy as np
import recurrent_dynamics as rd
from edited import cell
params = {"W": np.ones((2, 1)), "U": np.zeros((2, 2)), "b": np.zeros(2)}
run = rd.forward(cell, params, np.ones((1, 1, 1)))
print(run.output[0, 0, 0] / np.tanh(1.0), "sympy" in sys.modules)
"""


def run_script(script: str, folder: pathlib.Path, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_edited_helper_is_compiled_anew(tmp_path: pathlib.Path, clean_environment: dict[str, str]) -> None:
    """Compiled code lies on disk under its fingerprint: of the version before it must never be found for the next."""
    for factor in (2, 3, 2):
        (tmp_path / "edited.py").write_text(MODULE.format(factor=factor))
        value, _ = run_script(SCRIPT, tmp_path, clean_environment)
        assert float(value) == pytest.approx(factor, rel=1e-14)
    _, imported = run_script(SCRIPT, tmp_path, clean_environment)
    assert imported == "False", "SymPy is imported though everything was found on disk"


def test_sympy_stays_out_of_definitions(clean_environment: dict[str, str], tmp_path: pathlib.Path) -> None:
    script = """
        import sys
        import recurrent_dynamics as rd
        for make in rd.cells.NAMED.values():
            cell = make().with_normalization()
            cell.layout(32, 32), cell.fingerprint, cell.init(32, 32), cell._repr_latex_()
        print([name for name in ("sympy", "scipy", "matplotlib", "numba") if name in sys.modules])
    """
    assert run_script(script, tmp_path, clean_environment) == ["[]"]
