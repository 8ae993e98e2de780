"""Recurrent neural networks as trainable recurrences and as dynamical systems.

A cell is its equations, written once; forward pass, backpropagation through time, tangents, Jacobians and second
order are derived from them, compiled, and read by the analyses.

>>> import numpy as np
>>> import recurrent_dynamics as rd
>>> cell = rd.cells.lstm()
>>> params = cell.init(input_size=8, hidden_size=16)
>>> run = rd.forward(cell, params, np.zeros((10, 2, 8), "float32"))
>>> run.output.shape
(10, 2, 16)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "ArgumentError", "ArgumentTypeError", "__version__", "backward", "cells", "compile", "data", "diagnose",
    "dynamics", "engine", "equations", "forward", "freeze", "gradients", "hvp", "interop", "jacobian",
    "jacobian_operator", "jvp", "nn", "ode", "parametrize", "plot", "ravel", "stepper", "study", "training",
    "trees",
]  # fmt: skip

# The rooms of the library are imported when they are first used: `import recurrent_dynamics` stays quick.
_ERRORS = ("ArgumentError", "ArgumentTypeError")
_VERBS = (
    "backward",
    "compile",
    "forward",
    "freeze",
    "hvp",
    "jacobian",
    "jacobian_operator",
    "jvp",
    "ravel",
    "stepper",
)

if TYPE_CHECKING:
    from . import (
        cells,
        data,
        dynamics,
        engine,
        equations,
        gradients,
        interop,
        nn,
        ode,
        parametrize,
        plot,
        study,
        training,
        trees,
    )
    from .checks import ArgumentError, ArgumentTypeError
    from .engine import backward, compile, forward, freeze, hvp, jacobian, jacobian_operator, jvp
    from .engine.raveling import ravel
    from .engine.stepping import stepper
    from .training.diagnose import diagnose


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        value = getattr(importlib.import_module(f"{__name__}.engine"), name)
        globals()[name] = value
        return value
    if name in _ERRORS:
        return getattr(importlib.import_module(f"{__name__}.checks"), name)
    if name == "diagnose":  # the function; it needs models and training
        return importlib.import_module(f"{__name__}.training").diagnose
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
