"""Data sets that small packages bring; none of them is imported before it is asked for."""

from .digits import Digits, digits, patches
from .months import MonthlySeries, monthly_series
from .pronunciations import Pronunciations, pronunciations
from .vowels import LabelledSeries, aeon_series, japanese_vowels

__all__ = [
    "Digits",
    "LabelledSeries",
    "MonthlySeries",
    "Pronunciations",
    "aeon_series",
    "digits",
    "japanese_vowels",
    "monthly_series",
    "patches",
    "pronunciations",
]
