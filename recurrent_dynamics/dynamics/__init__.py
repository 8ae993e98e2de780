"""A run taken apart: Jacobian products, the flow of gradients, saturation and time scales.

Takes runs and arrays, and knows nothing of training.
"""

from .diagnosis import Diagnosis, diagnose
from .gates import Gate, direct_factors, gates, states
from .gradient_flow import GradientFlow, gradient_flow
from .products import JacobianProducts, PathNorms, jacobian_products, path_norms, powers_of_two
from .saturation import Saturation, TimeScales, saturation, time_scales

__all__ = [
    "Diagnosis",
    "Gate",
    "GradientFlow",
    "JacobianProducts",
    "PathNorms",
    "Saturation",
    "TimeScales",
    "diagnose",
    "direct_factors",
    "gates",
    "gradient_flow",
    "jacobian_products",
    "path_norms",
    "powers_of_two",
    "saturation",
    "states",
    "time_scales",
]
