"""Where a run is computed: the CPU engine on NumPy arrays, or the CUDA engine on those of CuPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import check


@dataclass(frozen=True)
class Backend:
    """The verbs of an engine, the module of its arrays, and the way there."""

    device: str
    verbs: Any
    xp: Any

    def moved(self, given: Any) -> Any:
        """What a user gave, or a mapping of that, as arrays of this backend; what is none stays for the checks."""
        if given is None or self.device == "cpu":
            return given
        if isinstance(given, Mapping):
            return {name: self.moved(value) for name, value in given.items()}
        try:
            return self.xp.asarray(given)
        except (TypeError, ValueError):
            return given

    def on_host(self, given: Any) -> Any:
        """What a user gave, without what lies on a device: lengths and resets are looked at on the host."""
        return self.verbs.to_host(self.moved(given)) if check.is_on_device(given) else given


def backend(device: str) -> Backend:
    """The backend of a device; it is here that a GPU is looked for."""
    if device == "cpu":
        from .cpu import verbs as cpu

        return Backend("cpu", cpu, np)
    if device != "cuda":
        raise ValueError(f"device must be 'cpu' or 'cuda', came {device!r}")
    from .cuda import verbs as cuda

    return Backend("cuda", cuda, cuda.arrays())


def device_of(device: str | None, *given: Any) -> str:
    """The device that was asked for, or else where the arrays lie: "cuda" if any of them lies there."""
    there = any(check.is_on_device(a) for a in _arrays(given))
    if device == "cpu" and there:
        raise TypeError("device is 'cpu', but an array came that lies on a GPU: copy it, or leave device out")
    return device if device is not None else "cuda" if there else "cpu"


def _arrays(given: Any) -> list[Any]:
    return [a for g in given for a in (g.values() if isinstance(g, Mapping) else [g])]
