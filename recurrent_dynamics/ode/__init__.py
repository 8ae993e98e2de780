"""Recurrent networks as solvers of ordinary differential equations: fields, methods, and their limits of stability."""

from .alpha import gate, gated_spectrum, smallest_gate, time_constant
from .discretize import discretize
from .euler_steps import StepStability, step_stability
from .field import Field, vector_field
from .implicit import ImplicitRun, implicit_forward
from .linear_stability import (
    largest_stable_step,
    reach,
    stability_boundary,
    stability_function,
    stability_interval,
)
from .methods import METHODS, Method, runge_kutta
from .network import LinearStability, linear_stability
from .reversible import ReversibleGradients, ReversibleRun, reversible_forward

__all__ = [
    "Field",
    "ImplicitRun",
    "LinearStability",
    "METHODS",
    "Method",
    "ReversibleGradients",
    "ReversibleRun",
    "StepStability",
    "discretize",
    "gate",
    "gated_spectrum",
    "implicit_forward",
    "largest_stable_step",
    "linear_stability",
    "reach",
    "reversible_forward",
    "runge_kutta",
    "smallest_gate",
    "stability_boundary",
    "stability_function",
    "stability_interval",
    "step_stability",
    "time_constant",
    "vector_field",
]
