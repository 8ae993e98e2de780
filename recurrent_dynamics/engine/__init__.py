"""The recurrence on arrays."""

from ..kernels.memory import release_memory
from .compiling import compile
from .cuda.device_model import Device, Walk
from .cuda.plan import Plan, plan
from .derivatives import Gradients, Tangent
from .frozen import FrozenParams, freeze
from .operator import JacobianOperator, jacobian_operator
from .ravel import ravel
from .run import Run
from .running import forward
from .stepper import Stepper, stepper
from .verbs import backward, hvp, jacobian, jvp

__all__ = [
    "Device", "FrozenParams", "Gradients", "JacobianOperator", "Plan", "Run", "Stepper", "Tangent", "Walk",
    "backward", "compile", "forward", "freeze", "hvp", "jacobian", "jacobian_operator", "jvp", "plan", "ravel",
    "release_memory", "stepper",
]  # fmt: skip
