"""A run taken apart: Jacobian products, the flow of gradients, Lyapunov spectra, saturation and time scales.

Takes runs and arrays, and knows nothing of training.
"""

from .continuation import Bifurcation, Branch, continuation
from .covariant import CovariantVectors, covariant_vectors
from .determinants import LogDeterminants, log_determinants
from .diagnosis import Diagnosis, diagnose
from .evidence import Measure, Trial
from .fixed_points import fixed_points
from .flossing import finite_time_exponents, flossing
from .flow_field import FlowField, flow_field
from .gates import Gate, direct_factors, gates, states
from .gradient_flow import GradientFlow, GradientGrowth, gradient_flow, gradient_growth
from .kantorovich import Certificate
from .lags import LagGradients, lag_gradients
from .lyapunov import LyapunovChecks, LyapunovSpectrum, lyapunov
from .non_normality import (
    NumericalRange,
    departure_from_normality,
    eigenvector_condition,
    logarithmic_norm,
    numerical_abscissa,
    numerical_radius,
    numerical_range,
    spectral_abscissa,
    spectral_radius,
)
from .omega import Omega, omega
from .phase_portrait import PhasePortrait, phase_portrait
from .points import FixedPoints, SlowPoints, Unfinished
from .products import JacobianProducts, PathNorms, jacobian_products, path_norms, powers_of_two
from .pseudospectra import Pseudospectra, pseudospectra, pseudospectral_abscissa, pseudospectral_radius
from .saturation import Saturation, saturation
from .stability import frequencies, time_constants
from .step_derivatives import Pulled, StepDerivatives
from .systems import Flow, Map
from .time_scales import DirectProducts, TimeScales, direct_products, measured_time_scales, time_scales
from .tracking import Tracking, tracking
from .transients import KreissConstant, TransientGrowth, kreiss_constant, transient_growth

__all__ = [
    "Bifurcation",
    "Branch",
    "Certificate",
    "CovariantVectors",
    "Diagnosis",
    "DirectProducts",
    "FixedPoints",
    "Flow",
    "FlowField",
    "Gate",
    "GradientFlow",
    "GradientGrowth",
    "JacobianProducts",
    "KreissConstant",
    "LagGradients",
    "LogDeterminants",
    "LyapunovChecks",
    "LyapunovSpectrum",
    "Map",
    "Measure",
    "NumericalRange",
    "Omega",
    "PathNorms",
    "PhasePortrait",
    "Pseudospectra",
    "Pulled",
    "Saturation",
    "SlowPoints",
    "StepDerivatives",
    "TimeScales",
    "Tracking",
    "TransientGrowth",
    "Trial",
    "Unfinished",
    "continuation",
    "covariant_vectors",
    "departure_from_normality",
    "diagnose",
    "direct_factors",
    "direct_products",
    "eigenvector_condition",
    "finite_time_exponents",
    "fixed_points",
    "flossing",
    "flow_field",
    "frequencies",
    "gates",
    "gradient_flow",
    "gradient_growth",
    "jacobian_products",
    "kreiss_constant",
    "lag_gradients",
    "log_determinants",
    "logarithmic_norm",
    "lyapunov",
    "measured_time_scales",
    "numerical_abscissa",
    "numerical_radius",
    "numerical_range",
    "omega",
    "path_norms",
    "phase_portrait",
    "powers_of_two",
    "pseudospectra",
    "pseudospectral_abscissa",
    "pseudospectral_radius",
    "saturation",
    "spectral_abscissa",
    "spectral_radius",
    "states",
    "time_constants",
    "time_scales",
    "tracking",
    "transient_growth",
]
