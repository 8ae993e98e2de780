"""The recurrence on arrays."""

from .operator import JacobianOperator, jacobian_operator
from .ravel import ravel
from .run import Gradients, Run, Tangent
from .stepper import Stepper, stepper
from .verbs import backward, forward, hvp, jacobian, jvp

__all__ = [
    "Gradients", "JacobianOperator", "Run", "Stepper", "Tangent",
    "backward", "forward", "hvp", "jacobian", "jacobian_operator", "jvp", "ravel", "stepper",
]  # fmt: skip
