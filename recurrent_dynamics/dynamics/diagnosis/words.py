"""Numbers in sentences: with the digits that count, and written one way everywhere."""

from __future__ import annotations

import math

SURE = 2.0  # standard errors from which on a sign is told


def plus_minus(value: float, error: float) -> str:
    """A number with its standard error, both to the second digit of the error; without one, to three digits.

    Examples
    --------
    >>> plus_minus(-0.00512, 0.00113), plus_minus(12.3, 0.0997), plus_minus(7.6e-6, 2.13e-6), plus_minus(0.5, 0.0)
    ('−0.0051 ± 0.0011', '12.30 ± 0.10', '(7.6 ± 2.1)e-06', '0.5')
    """
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.3g}".replace("-", "−", 1) if value < 0 else f"{value:.3g}"
    power = math.floor(math.log10(max(abs(value), error)))
    scale, tail = (10.0**power, f"e{power:+03d}") if power < -4 or power > 6 else (1.0, "")
    rounded = f"{error / scale:.1e}"  # of 0.0997 these are 1.0e-01
    places = max(0, 1 - int(rounded.partition("e")[2]))
    shown = f"{value / scale:z.{places}f} ± {float(rounded):.{places}f}".replace("-", "−")
    return f"({shown}){tail}" if tail else shown


def sign(value: float, error: float) -> int:
    """1 or -1 where the number is further from 0 than two standard errors, else 0.

    Examples
    --------
    >>> sign(-0.005, 0.002), sign(-0.005, 0.003), sign(0.1, 0.0)
    (-1, 0, 1)
    """
    return 0 if not abs(value) > SURE * error else 1 if value > 0 else -1


def percent(share: float) -> str:
    """A share in percent; what is not nothing or all is not written as such.

    Examples
    --------
    >>> [percent(share) for share in (0.0, 0.0004, 0.003, 0.127, 0.996, 0.9999, 1.0)]
    ['0 %', 'below 0.1 %', '0.3 %', '13 %', '99.6 %', 'over 99.9 %', '100 %']
    """
    value = 100 * share
    if value in (0, 100) or 0.95 <= value <= 99.05 or not 0 < value < 100:
        return f"{value:.0f} %"
    if value < 0.05:
        return "below 0.1 %"
    return "over 99.9 %" if value > 99.95 else f"{value:.1f} %"
