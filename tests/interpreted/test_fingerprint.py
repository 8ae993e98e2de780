"""Edited equations run at once, and cells of one name do not get into each other's way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.equations import tanh

PARAMS = {"W": np.ones((2, 1)), "U": np.zeros((2, 2)), "b": np.zeros(2)}


def value_and_slope(cell: Cell) -> tuple[float, float]:
    """Both divided by those of tanh at 1."""
    run = rd.forward(cell, PARAMS, np.ones((1, 1, 1)))
    slope = rd.backward(run, np.ones((1, 1, 2))).params["b"][0]
    return float(run.output[0, 0, 0] / np.tanh(1)), float(slope / (1 - np.tanh(1) ** 2))


def named(update: Callable[..., Any]) -> Cell:
    return Cell("one name", state=("h",), drives=("n",), update=update)


def closure(factor: float) -> Cell:
    return named(lambda drive: {"h": factor * tanh(drive.n)})


def helper(value: Any) -> Any:
    return 5.0 * value


def calling() -> Cell:
    return named(lambda drive: {"h": helper(tanh(drive.n))})


def test_edits_take_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, five = closure(1.0), closure(2.0), calling()
    monkeypatch.setitem(globals(), "helper", lambda value: 7.0 * value)
    seven = calling()
    for _ in range(2):  # in any order, again and again
        for cell, factor in ((one, 1.0), (two, 2.0), (five, 5.0), (seven, 7.0)):
            assert value_and_slope(cell) == pytest.approx((factor, factor), rel=1e-14)


def test_a_plus_sign_changes_nothing() -> None:
    for signed in (
        named(lambda drive: {"h": tanh(+drive.n)}),
        named(lambda drive: {"h": tanh(np.positive(drive.n))}),
    ):
        assert value_and_slope(signed) == pytest.approx((1.0, 1.0), rel=1e-14)


def test_constants_change_the_result_and_not_the_program() -> None:
    def update(drive, constant):
        return {"h": constant.k * tanh(drive.n)}

    made = [Cell("k", state=("h",), drives=("n",), update=update, constants={"k": k}) for k in (2.0, 3.0)]
    assert made[0].fingerprint == made[1].fingerprint
    assert [value_and_slope(cell)[0] for cell in made] == pytest.approx([2.0, 3.0], rel=1e-14)
