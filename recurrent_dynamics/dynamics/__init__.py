"""A run taken apart: Jacobian products, the flow of gradients, Lyapunov spectra, saturation and time scales.

Takes runs and arrays, and knows nothing of training.
"""

from .diagnosis import Diagnosis, diagnose
from .gates import Gate, direct_factors, gates, states
from .gradient_flow import GradientFlow, gradient_flow
from .lyapunov import LyapunovChecks, LyapunovSpectrum, lyapunov
from .products import JacobianProducts, PathNorms, jacobian_products, path_norms, powers_of_two
from .saturation import Saturation, TimeScales, saturation, time_scales
from .systems import Flow, Map

__all__ = [
    "Diagnosis",
    "Flow",
    "Gate",
    "GradientFlow",
    "JacobianProducts",
    "LyapunovChecks",
    "LyapunovSpectrum",
    "Map",
    "PathNorms",
    "Saturation",
    "TimeScales",
    "diagnose",
    "direct_factors",
    "gates",
    "gradient_flow",
    "jacobian_products",
    "lyapunov",
    "path_norms",
    "powers_of_two",
    "saturation",
    "states",
    "time_scales",
]
