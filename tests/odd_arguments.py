"""Odd values for the arguments of public functions, and a limit of time for what is called with them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np


def changed(a: np.ndarray, value: Any) -> np.ndarray:
    a = np.array(a, copy=True)
    a.flat[-1] = value
    return a


def times(a: np.ndarray, factor: float) -> Any:
    """Infinite where float32 ends."""
    with np.errstate(over="ignore", under="ignore"):
        return a * factor


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
    "large": lambda a: times(a, 1e300),
    "small": lambda a: times(a, 1e-310),
    "zeros": np.zeros_like,
    "negative": lambda a: ~a if a.dtype.kind == "b" else -a,
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


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """End what takes longer, by the time of its processor; what waits, after ten times as long."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still running after {seconds} s")

    before = [signal.signal(number, late) for number in (signal.SIGALRM, signal.SIGPROF)]
    signal.alarm(10 * seconds)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), before, strict=True):
            signal.signal(number, handler)
