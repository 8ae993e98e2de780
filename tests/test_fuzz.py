"""Odd arguments of public functions: what fails is an error of one kind that names the argument, and nothing hangs.

`-m full` tries RECURRENT_DYNAMICS_FUZZ_CASES pairs of odd arguments, 20,000 by default.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recurrent_dynamics as rd
from recurrent_dynamics import data, dynamics, gradients, ode, parametrize
from recurrent_dynamics.equations import DefinitionError

ROOMS = {
    "": rd,
    "dynamics": dynamics,
    "ode": ode,
    "gradients": gradients,
    "parametrize": parametrize,
    "data": data,
}
T, B, H, N = 20, 2, 3, 2
SECONDS = 20  # that a case may take; one takes milliseconds, or compiles once
CASES = int(os.environ.get("RECURRENT_DYNAMICS_FUZZ_CASES", "20000"))


@lru_cache(maxsize=1)
def given_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    cell = rd.cells.elman()
    params = cell.init(N, H, dtype="float64", rng=rng)
    x = rng.standard_normal((T, B, N))
    run = rd.forward(cell, params, x)
    A = 0.5 * rng.standard_normal((3, 3))
    return {
        "cell": cell, "params": params, "x": x, "run": run, "d": rng.standard_normal((T, B, H)), "A": A,
        "jacobians": rd.jacobian(run), "spins": rng.uniform(0.1, 0.9, (T, B, H)), "h": {"h": np.zeros((B, H))},
        "field": ode.vector_field(rd.cells.elman()),
        "map": dynamics.Map(lambda s: s @ A.T, lambda s: np.broadcast_to(A, (len(s), 3, 3))),
    }  # fmt: skip


# Of every function the arguments that a case begins with, one of which is then replaced; made when they are asked for.
BEGINNINGS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "forward": lambda g: {"cell": g["cell"], "params": g["params"], "x": g["x"], "initial": None, "lengths": None,
                          "reset": None, "check_finite": True, "copy_params": True, "tape": True, "tf32": False},
    "backward": lambda g: {"run": g["run"], "d_output": g["d"], "d_states": None, "d_final": None},
    "jvp": lambda g: {"run": g["run"], "d_params": None, "d_x": g["x"], "d_initial": None, "d_signals": None},
    "hvp": lambda g: {"run": g["run"], "d_output": g["d"], "d_params": None, "d_output_tangent": None, "d_x": g["x"],
                      "d_initial": None},
    "jacobian": lambda g: {"run": g["run"], "steps": None},
    "jacobian_operator": lambda g: {"run": g["run"]},
    "freeze": lambda g: {"cell": g["cell"], "params": g["params"]},
    "stepper": lambda g: {"cell": g["cell"], "params": g["params"]},
    "dynamics.covariant_vectors": lambda g: {
        "system": g["map"], "initial": np.ones(3), "steps": 40, "count": 2, "transient": 5, "backward_transient": 5,
        "every": 1, "rng": 0},
    "dynamics.lyapunov": lambda g: {"system": g["map"], "initial": np.ones(3), "steps": 40, "count": 2,
                                    "transient": 5, "tolerance": 1.0, "check": False, "rng": 0},
    "dynamics.departure_from_normality": lambda g: {"matrices": g["A"], "relative": False},
    "dynamics.direct_factors": lambda g: {"run": g["run"]},
    "dynamics.direct_products": lambda g: {"factors": g["spins"], "steps": None},
    "dynamics.eigenvector_condition": lambda g: {"matrices": g["A"]},
    "dynamics.finite_time_exponents": lambda g: {"run": g["run"], "count": 2, "interval": 1, "rng": 0},
    "dynamics.fixed_points": lambda g: {
        "cell": g["cell"], "params": g["params"], "starts": np.zeros((4, H)), "input": np.zeros(N), "period": 1,
        "number": None, "noise": 0.0, "rng": 0, "tolerance": 1e-12, "iterations": 20, "within": 1e6, "centre": 1e-6},
    "dynamics.flossing": lambda g: {"run": g["run"], "count": 2, "target": 0.0, "interval": 1, "rng": 0},
    "dynamics.gates": lambda g: {"run": g["run"]},
    "dynamics.gradient_flow": lambda g: {"d_states": g["d"]},
    "dynamics.gradient_growth": lambda g: {"d_states": g["d"], "skip": 0},
    "dynamics.jacobian_products": lambda g: {"jacobians": g["jacobians"], "steps": None, "start": 0},
    "dynamics.kreiss_constant": lambda g: {"matrices": g["A"], "kind": "map"},
    "dynamics.lag_gradients": lambda g: {"run": g["run"], "d_output": g["d"], "longest": 5},
    "dynamics.log_determinants": lambda g: {"run": g["run"]},
    "dynamics.logarithmic_norm": lambda g: {"matrices": g["A"], "order": 2},
    "dynamics.measured_time_scales": lambda g: {"states": g["d"]},
    "dynamics.numerical_abscissa": lambda g: {"matrices": g["A"]},
    "dynamics.numerical_radius": lambda g: {"matrices": g["A"]},
    "dynamics.numerical_range": lambda g: {"matrices": g["A"], "points": 16},
    "dynamics.omega": lambda g: {"run": g["run"], "d_states": {"h": g["d"]}},
    "dynamics.path_norms": lambda g: {"jacobians": g["jacobians"], "direct": g["spins"], "offset": 0, "steps": None},
    "dynamics.powers_of_two": lambda g: {"longest": 9},
    "dynamics.pseudospectra": lambda g: {"matrices": g["A"], "points": 8, "limits": None, "kind": "map"},
    "dynamics.pseudospectral_abscissa": lambda g: {"matrices": g["A"], "epsilon": 0.1},
    "dynamics.pseudospectral_radius": lambda g: {"matrices": g["A"], "epsilon": 0.1},
    "dynamics.saturation": lambda g: {"values": g["spins"], "thresholds": (0.1, 0.9), "dead_below": 0.01},
    "dynamics.spectral_abscissa": lambda g: {"matrices": g["A"]},
    "dynamics.spectral_radius": lambda g: {"matrices": g["A"]},
    "dynamics.states": lambda g: {"run": g["run"]},
    "dynamics.time_scales": lambda g: {"factors": g["spins"]},
    "dynamics.tracking": lambda g: {"values": g["d"], "signals": {"odd": g["d"][:, :, 0]}, "held_out": 0.5},
    "dynamics.transient_growth": lambda g: {"matrices": g["A"], "steps": 10, "kind": "map", "time_step": None,
                                            "bounds": True},
    "ode.discretize": lambda g: {"field": g["field"], "method": "euler", "dt": 0.1, "step": "fixed", "inverse": False},
    "ode.linear_stability": lambda g: {
        "field": g["field"], "params": g["field"].init(N, H, dtype="float64", rng=0), "states": np.zeros((4, H)),
        "method": "euler", "dt": 0.1, "input": np.zeros(N)},
    "ode.gate": lambda g: {"tau": 2.0, "dt": 0.5, "method": "euler"},
    "ode.gated_spectrum": lambda g: {"alpha": 0.5, "matrices": g["A"]},
    "ode.largest_stable_step": lambda g: {"eigenvalues": [-1.0, -0.5 + 1j], "method": "rk4", "linear": 0.0},
    "ode.reach": lambda g: {"method": "rk4", "directions": [-1.0, 1j], "linear": 0.0},
    "ode.runge_kutta": lambda g: {"name": "heun", "matrix": [[], [1.0]], "weights": [0.5, 0.5], "order": 2},
    "ode.smallest_gate": lambda g: {"matrices": g["A"]},
    "ode.stability_boundary": lambda g: {"method": "rk4", "points": 16, "linear": 0.0},
    "ode.stability_function": lambda g: {"method": "rk4", "z": [-1.0, 1j], "linear": 0.0},
    "ode.stability_interval": lambda g: {"method": "rk4", "axis": "real"},
    "ode.step_stability": lambda g: {"run": g["run"], "steps": None},
    "ode.time_constant": lambda g: {"alpha": 0.5, "method": "euler"},
    "ode.vector_field": lambda g: {"cell": rd.cells.gru(), "tau": 1.0},
    "parametrize.orthogonality_penalty": lambda g: {"U": g["A"], "strength": 1.0},
    "ravel": lambda g: {"tree": g["params"]},
    "gradients.truncated_bptt": lambda g: {
        "cell": g["cell"], "params": g["params"], "x": g["x"], "loss_gradient": lambda output: output,
        "window": 4, "stride": 2, "initial": None},
    "data.pad": lambda g: {"sequences": [g["x"][:, 0], g["x"][:4, 1]], "value": 0.0, "steps": 1},
    "data.collate": lambda g: {
        "sequences": {"a": [g["x"][:, 0], g["x"][:4, 1]]}, "values": {"b": [0, 1]}, "dtype": "float64"},
    "data.partition": lambda g: {
        "count": 20, "fractions": [0.5, 0.5], "seed": 0, "labels": None, "groups": None},
    "data.patches": lambda g: {"images": g["x"][:, :, :2].repeat(2, 1), "size": 2},
    "data.words": lambda g: {"text": "a b", "lower": True},
    "dynamics.flow_field": lambda g: {
        "system": g["cell"], "params": g["params"], "plane": dynamics.phase_portrait(g["run"]), "input": np.zeros(N),
        "limits": None, "points": 4},
    "dynamics.frequencies": lambda g: {"eigenvalues": [0.5, 0.3 + 0.4j], "dt": 1.0},
    "dynamics.phase_portrait": lambda g: {"states": g["run"], "conditions": None, "count": 2},
    "dynamics.time_constants": lambda g: {"eigenvalues": [0.5, 0.3 + 0.4j], "dt": 1.0},
    "data.split": lambda g: {"indices": np.arange(50), "fraction": 0.5},
    "data.text_signals": lambda g: {"text": "abc def"},
}  # fmt: skip

# What takes a path, a model, a definition, or a function, and has tests of wrong arguments of its own.
ELSEWHERE = {
    "compile", "diagnose", "dynamics.continuation", "dynamics.diagnose",
    "ode.implicit_forward", "ode.reversible_forward",
    "gradients.truncated_windows", "data.read_text", "data.standard_library",
    "data.aeon_series", "data.digits", "data.japanese_vowels", "data.monthly_series", "data.pronunciations",
}  # fmt: skip


def public_functions() -> Iterator[str]:
    for room, module in ROOMS.items():
        for name in module.__all__:
            if inspect.isfunction(getattr(module, name)):
                yield f"{room}.{name}".lstrip(".")


def test_every_public_function_is_tried_here_or_elsewhere():
    assert set(public_functions()) == BEGINNINGS.keys() | ELSEWHERE


def function_of(name: str) -> Callable[..., Any]:
    room, _, own = name.rpartition(".")
    return getattr(ROOMS[room], own)


def changed(a: np.ndarray, value: Any) -> np.ndarray:
    a = np.array(a, copy=True)
    a.flat[-1] = value
    return a


MASKED = "masked"
SCALARS: dict[str, Any] = {
    "none": None, "negative": -1, "zero": 0, "past int64": 2**63, "past float64": 10**400, "true": True, "text": "odd",
    "empty text": "", "half": 0.5, "nan": float("nan"), "inf": float("inf"), "complex": 1j, "list": [1, 2],
    "nested": [[1.0], [1.0, 2.0]], "empty": [], "dict": {}, "0-d": np.array(1.0), "bytes": b"odd", "object": object(),
    "objects": np.array([None, "a"], dtype=object), "float16": np.float16(1), "empty array": np.empty((0, 3, 3)),
    "datetime": np.datetime64("2000-01-01"), "structured": np.zeros(3, [("a", "f8")]), "function": len,
    "masked alone": np.ma.masked_array([1.0, 2.0], [True, False]),
}  # fmt: skip
OF_ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    MASKED: lambda a: np.ma.masked_array(a, np.arange(a.size).reshape(a.shape) == 0),
    "one axis more": lambda a: a[None],
    "one entry": lambda a: a.flat[0],
    "first": lambda a: a[0],
    "shorter": lambda a: a[..., :-1],
    "none of it": lambda a: a[:0],
    "no width": lambda a: a[..., :0],
    "with nan": lambda a: changed(a.astype(float), np.nan),
    "with inf": lambda a: changed(a.astype(float), -np.inf),
    "large": lambda a: a * 1e300,
    "small": lambda a: a * 1e-310,
    "zeros": np.zeros_like,
    "negative": lambda a: -a,
    "complex": lambda a: a + 1j,
    "objects": lambda a: a.astype(object),
    "text": lambda a: a.astype(str),
    "bool": lambda a: a > 0,
    "integers": lambda a: a.astype(int),
    "unsigned": lambda a: np.abs(a).astype("uint8"),
    "single": lambda a: a.astype("float32"),
    "half": lambda a: a.astype("float16"),
    "long": lambda a: a.astype(np.longdouble),
    "other bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "fortran": np.asfortranarray,
    "backwards": lambda a: a[::-1],
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "list": lambda a: a.tolist(),
    "matrix": lambda a: a.view(type("Own", (np.ndarray,), {})),
}


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


OF_ARRAYS["read only"] = read_only


def variants(value: Any) -> list[tuple[str, Callable[[], Any]]]:
    """Odd values in the place of this one, by name."""
    found: list[tuple[str, Callable[[], Any]]] = [(k, lambda v=v: v) for k, v in SCALARS.items()]
    if isinstance(value, np.ndarray):
        found += [(k, lambda f=f: f(value)) for k, f in OF_ARRAYS.items()]
    if isinstance(value, dict):
        first = next(iter(value))
        found += [
            (f"{first} {k}", lambda make=make: value | {first: make()}) for k, make in variants(value[first])
        ]
        found += [("without one", lambda: {k: v for k, v in value.items() if k != first})]
        found += [("with another", lambda: value | {"odd": value[first]})]
    return found


@lru_cache(maxsize=1)
def cases() -> list[tuple[str, str, str]]:
    """(function, argument, kind of odd value), all there are."""
    return [
        (name, argument, kind)
        for name, make in BEGINNINGS.items()
        for argument, value in make(given_arrays()).items()
        for kind, _ in variants(value)
    ]


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(*changes: tuple[str, str, str]) -> str | None:
    """What is wrong with how a function takes odd arguments; None where it is a result, or an error as promised."""
    name = changes[0][0]
    arguments = BEGINNINGS[name](given_arrays())
    odd = {argument: dict(variants(arguments[argument]))[kind]() for _, argument, kind in changes}
    arguments |= odd
    case = f"{name}({', '.join(f'{argument}: {kind}' for _, argument, kind in changes)})"
    try:
        with at_most(SECONDS), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            function_of(name)(**arguments)
    except FloatingPointError:  # says at which step
        return None
    except (ValueError, TypeError, DefinitionError) as error:
        words = [*odd, "jacobian must return"] if arguments.get("system") is given_arrays()["map"] else odd
        names = re.search(rf"(?<![\w.])({'|'.join(words)})\b", str(error))
        return None if names else f"{case}: {type(error).__name__}: {error}"
    except Exception as error:
        return f"{case}: {type(error).__name__}: {error}"
    return f"{case}: the mask was dropped" if any(MASKED in kind for _, _, kind in changes) else None


needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGALRM"), reason="a case that hangs is ended by a signal"
)


@needs_signals
@pytest.mark.parametrize("name", BEGINNINGS)
def test_an_odd_argument_is_taken_or_named(name):
    wrong = [found for case in cases() if case[0] == name and (found := judge(case)) is not None]
    assert not wrong, "\n".join(wrong)


@needs_signals
@settings(max_examples=300)
@given(data=st.data())
def test_two_odd_arguments_are_taken_or_named(data):
    one = data.draw(st.sampled_from(cases()))
    other = data.draw(st.sampled_from([c for c in cases() if c[0] == one[0]]))
    wrong = judge(one, other) if other[1] != one[1] else judge(one)
    assert wrong is None, wrong


@pytest.mark.full
@needs_signals
def test_many_pairs_of_odd_arguments_are_taken_or_named():
    rng = np.random.default_rng(int(os.environ.get("RECURRENT_DYNAMICS_FUZZ_SEED", "0")))
    by_function: dict[str, list[tuple[str, str, str]]] = {}
    for case in cases():
        by_function.setdefault(case[0], []).append(case)
    wrong = []
    for i in rng.integers(len(cases()), size=CASES):
        one = cases()[i]
        others = by_function[one[0]]
        other = others[rng.integers(len(others))]
        found = judge(one, other) if other[1] != one[1] else judge(one)
        wrong += [found] if found is not None else []
    assert not wrong, "\n".join(wrong)
