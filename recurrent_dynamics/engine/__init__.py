"""The recurrence on arrays.

Each name is imported when it is first used: `compile` starts other processes before this one loads the compiler.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..kernels.memory import release_memory
    from .compiling import compile
    from .cuda.device_model import Device, Walk
    from .cuda.plan import Plan, plan
    from .derivatives import Gradients, Tangent
    from .frozen import FrozenParams, freeze
    from .operator import JacobianOperator, jacobian_operator
    from .raveling import ravel
    from .run import Run
    from .running import forward
    from .stepping import Stepper, stepper
    from .verbs import backward, hvp, jacobian, jvp

__all__ = [
    "Device", "FrozenParams", "Gradients", "JacobianOperator", "Plan", "Run", "Stepper", "Tangent", "Walk",
    "backward", "compile", "forward", "freeze", "hvp", "jacobian", "jacobian_operator", "jvp", "plan", "ravel",
    "release_memory", "stepper",
]  # fmt: skip

_MODULES = {
    "release_memory": "..kernels.memory", "compile": ".compiling", "Device": ".cuda.device_model",
    "Walk": ".cuda.device_model", "Plan": ".cuda.plan", "plan": ".cuda.plan", "Gradients": ".derivatives",
    "Tangent": ".derivatives", "FrozenParams": ".frozen", "freeze": ".frozen", "JacobianOperator": ".operator",
    "jacobian_operator": ".operator", "ravel": ".raveling", "Run": ".run", "forward": ".running",
    "Stepper": ".stepping", "stepper": ".stepping", "backward": ".verbs", "hvp": ".verbs", "jacobian": ".verbs",
    "jvp": ".verbs",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
