"""The sentences of a diagnosis: each number in them agrees with every other, and with the series it was read from."""

from __future__ import annotations

import re

import numpy as np
import pytest

from recurrent_dynamics.dynamics import diagnose, gradient_flow, saturation
from recurrent_dynamics.dynamics.diagnosis.words import percent, plus_minus, sign

SIZE = re.compile(
    r"(\d+) steps back.* has \(?([\d.]+)(?: ± ([\d.]+)\))?(?:(?:e(-?\d+))| ± ([\d.]+))? times the size it starts with "
    r"\(a factor of ([\d.]+) a step on average\)"
)


def flow_of(rates, steps=100, first=1.0):
    """Gradients of windows that shrink each at its own rate, after another factor at the first step."""
    lags = np.arange(float(steps))
    norms = np.asarray(rates)[None, :] ** lags[:, None] * np.where(lags > 0, first, 1.0)[:, None]
    return gradient_flow(norms[::-1, :, None])


def said(found):
    """Lag, size, factor a step of the first sentence that has them."""
    match = SIZE.search(" ".join(found.sentences))
    lag, size, _, power, _, factor = match.groups()
    return int(lag), float(size) * 10.0 ** int(power or 0), float(factor)


@pytest.mark.parametrize("first", [1.0, 0.05, 3.0])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.963, 0.999])
def test_the_factor_a_step_makes_the_size(rate, first):
    found = diagnose(flow_of([rate], first=first), truncation=50)
    lag, size, factor = said(found)
    assert lag == 50
    assert size == pytest.approx(first * rate**50, rel=0.05)  # two digits
    assert factor**lag == pytest.approx(size, rel=0.06)
    assert found.rate**50 == pytest.approx(found.relative_norm)


@pytest.mark.parametrize("rate", [0.8, 0.9, 0.95, 0.98])
def test_what_is_left_at_the_end_of_a_window_and_the_reach_do_not_contradict_each_other(rate):
    found = diagnose(flow_of([rate]), truncation=50)
    assert found.reach == (None if rate**99 > 0.01 else int(np.ceil(np.log(0.01) / np.log(rate))))
    if found.reach is not None:
        assert f"falls below 1 % of the size it starts with {found.reach} steps back" in str(found)
        assert (found.relative_norm < 0.01) == (found.reach <= 50)
        assert ("cut the view shorter" in str(found)) == (found.reach >= 50)
    else:
        assert "More than 1 % of the gradient is left at every lag measured, up to 99 steps" in str(found)


def test_a_spike_behind_the_reach_is_said_and_changes_nothing():
    norms = 0.9 ** np.arange(100.0)
    norms[[60, 67]] = 0.02
    found = diagnose(norms, truncation=50)
    assert found.reach == 44  # 0.9**44 < 0.01 < 0.9**43
    assert "44 steps back and is above it once more at 2 lags between there and 67 steps" in str(found)


def test_size_factor_and_reach_are_of_one_layer():
    found = diagnose([flow_of([0.97], first=0.01), flow_of([0.95])], truncation=50)
    assert "in layer 2, where most is left" in str(found)
    assert found.relative_norm == pytest.approx(0.95**50)
    assert found.rate == pytest.approx(0.95)
    assert found.reach == 90


def test_a_mean_of_few_windows_is_told_from_a_typical_one():
    rates = np.r_[np.full(2, 0.98), np.full(18, 0.8)]
    found = diagnose(flow_of(rates), truncation=50)
    mean, typical = np.mean(rates**50), 0.8**50
    assert found.verdict == "healthy"
    assert found.relative_norm == pytest.approx(mean)
    assert found.typical_norm == pytest.approx(typical)
    assert f"over 20 windows: in the median one the gradient 50 steps back has {typical:.2g} times" in str(
        found
    )
    assert "over 99.9 % of the mean there comes from the tenth of the windows" in str(found)
    assert "in a typical window they vanish" in str(found)
    alike = diagnose(flow_of(np.full(20, 0.98)), truncation=50)
    assert "10 % of the mean there comes from the tenth of the windows" in str(alike)
    assert "vanish:" not in str(alike)


def test_the_error_of_the_size_is_that_of_the_mean_over_windows(rng):
    rates = rng.uniform(0.93, 0.97, 40)
    found = diagnose(flow_of(rates), truncation=50)
    error = (rates**50).std(ddof=1) / np.sqrt(40)
    assert plus_minus(np.mean(rates**50), error) in str(found)


def test_nothing_is_said_of_a_window_longer_than_what_was_measured():
    found = diagnose(flow_of([0.95], steps=31), truncation=50)
    assert "within the 30 steps measured" in str(found)
    assert said(found)[0] == 30


def test_a_gradient_that_underflows_has_no_factor():
    found = diagnose(np.r_[1.0, 0.1, np.zeros(60)], truncation=50)
    assert found.verdict == "vanishing"
    assert "50 steps back through time nothing is left of the gradient" in str(found)
    assert "nan" not in str(found)


def test_stuck_units_are_those_of_the_table_of_units(rng):
    values = rng.uniform(-0.5, 0.5, (30, 2, 10))
    values[..., :4] = 0.95
    values[..., 4:6] = 0.1
    units = saturation(values, (-0.9, 0.9), name="h")
    found = diagnose(np.ones(10), states=[units])
    (measure,) = (m for m in found.measures if m.name.startswith("largest share of stuck units"))
    assert measure.value == units.stuck.mean() == 0.6
    assert "60 % of the units of h in layer 1 are stuck" in str(found)


def test_errors_have_two_digits_and_signs_are_beyond_them():
    assert plus_minus(-0.005, 0.0004) == "−0.00500 ± 0.00040"
    assert plus_minus(0.0, 0.013) == "0.000 ± 0.013"
    assert plus_minus(-0.00001, 0.013) == "0.000 ± 0.013"
    assert plus_minus(123.4, 12.3) == "123 ± 12"
    assert plus_minus(float("nan"), 1.0) == "nan"
    assert [sign(0.001, e) for e in (0.0004, 0.0006, np.nan)] == [1, 0, 0]
    assert [percent(p) for p in (0.79, 0.01, 0.004, 1.2)] == ["79 %", "1 %", "0.4 %", "120 %"]
