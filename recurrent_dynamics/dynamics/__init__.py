"""A run taken apart: Jacobian products, the flow of gradients, Lyapunov spectra, saturation and time scales.

Takes runs and arrays, and knows nothing of training.
"""

from .diagnosis.measures import Measure, Trial
from .diagnosis.verdict import Diagnosis, diagnose
from .fixed_points.continuation import Bifurcation, Branch, continuation
from .fixed_points.kantorovich import Certificate
from .fixed_points.modes import frequencies, time_constants
from .fixed_points.points import FixedPoints, SlowPoints, Unfinished
from .fixed_points.search import fixed_points
from .gradient_flow.alignment import Alignment, AttentionPaths, alignment, attention_paths
from .gradient_flow.lags import LagGradients, lag_gradients
from .gradient_flow.norms import GradientFlow, GradientGrowth, gradient_flow, gradient_growth
from .gradient_flow.omega import Omega, omega
from .jacobians.determinants import LogDeterminants, log_determinants
from .jacobians.jacobian_products import (
    JacobianProducts,
    PathNorms,
    jacobian_products,
    path_norms,
    powers_of_two,
)
from .lyapunov.covariant import CovariantVectors, covariant_vectors
from .lyapunov.exponents import lyapunov
from .lyapunov.flossing import finite_time_exponents, flossing
from .lyapunov.spectrum import LyapunovChecks, LyapunovSpectrum
from .matrices.non_normality import (
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
from .matrices.pseudospectra import (
    Pseudospectra,
    pseudospectra,
    pseudospectral_abscissa,
    pseudospectral_radius,
)
from .matrices.transients import KreissConstant, TransientGrowth, kreiss_constant, transient_growth
from .trajectories.flow_field import FlowField, flow_field
from .trajectories.phase_portrait import PhasePortrait, phase_portrait
from .trajectories.step_derivatives import Pulled, StepDerivatives
from .trajectories.systems import Flow, Map
from .units.gates import Gate, direct_factors, gates, states
from .units.saturation import Saturation, saturation
from .units.time_scales import DirectProducts, TimeScales, direct_products, measured_time_scales, time_scales
from .units.tracking import Tracking, tracking

__all__ = [
    "Alignment",
    "AttentionPaths",
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
    "alignment",
    "attention_paths",
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
