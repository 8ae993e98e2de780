"""Measured series with a value for each month."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, one_of
from .files import package_file

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
UNITS = {"co2": "ppm", "elec_equip": "index", "elnino": "degrees Celsius"}


class MonthlySeries(NamedTuple):
    """A value for each month.

    Attributes
    ----------
    months : ndarray of datetime64[M] (n,)
        One after another, none left out.
    values : ndarray (n,)
        NaN where nothing was measured.
    unit : str
    """

    months: NDArray[np.datetime64]
    values: NDArray[np.float64]
    unit: str

    def __repr__(self) -> str:
        missing = int(np.isnan(self.values).sum())
        return f"MonthlySeries({self.months[0]} to {self.months[-1]}, {missing} missing, in {self.unit})"


def monthly_series(name: str) -> MonthlySeries:
    """A monthly series that the package ``statsmodels`` brings.

    Parameters
    ----------
    name : {"co2", "elnino", "elec_equip"}
        CO2 in the air at Mauna Loa from 1958 to 2001 in ppm, the means of weekly values; the temperature of the sea
        surface in the region of El Nino from 1950 to 2010 in degrees Celsius; the turnover of electrical equipment in
        the euro area from 1995 to 2016 as an index.

    Returns
    -------
    MonthlySeries

    Raises
    ------
    ModuleNotFoundError
        When ``statsmodels`` is not installed. It is not imported; its file is read.

    Examples
    --------
    .. code-block:: python

       months, values, unit = rd.data.monthly_series("elnino")
       scaled = ((values - values.mean()) / values.std())[:, None]
       windows = rd.data.Windows(scaled[:-1], scaled[1:], steps=48, batch_size=16)
    """
    one_of("name", name, UNITS)
    path = package_file("statsmodels", "statsmodels", f"the series {name}", "datasets", name, f"{name}.csv")
    with path.open(encoding="utf-8") as file:
        return read_months(file, UNITS[name])


def read_months(lines: Iterable[str], unit: str) -> MonthlySeries:
    """A series of lines of a date and a value, or of a year and twelve values; means of all values of a month."""
    header, *rows = [row for row in csv.reader(lines) if row]
    found: dict[np.datetime64, list[float]] = {}
    for row in rows:
        if tuple(header[1:]) == MONTHS:
            dates: list[Any] = [np.datetime64(f"{row[0]}-{k:02d}", "M") for k in range(1, 13)]
        else:
            dates = [_month(row[0])]
        for date, value in zip(dates, row[1:], strict=True):
            found.setdefault(date, []).extend([float(value)] if value.strip() else [])
    months = np.arange(min(found), max(found) + 1)
    values = [np.mean(found[m]) if found.get(m) else np.nan for m in months]
    return MonthlySeries(months, np.array(values), unit)


def _month(text: str) -> np.datetime64:
    """The month of a date such as 19580329 or Jan-1-1995."""
    name, *rest = text.split("-")
    if rest and name.upper() in MONTHS:
        return np.datetime64(f"{rest[-1]}-{MONTHS.index(name.upper()) + 1:02d}", "M")
    if len(text) == 8 and text.isdigit():
        return np.datetime64(f"{text[:4]}-{text[4:6]}", "M")
    raise ArgumentError("date", "be like 19580329 or Jan-1-1995", repr(text))
