"""Figures of the library's results. Every function takes `ax=` and returns the axes it drew on."""

from .diagnosis import diagnosis
from .fixed_points import branch, fixed_points, held_inputs
from .flow import direct_products, gradient_flow, path_norms, singular_values
from .lags import lag_gradients
from .matrices import numerical_range, pseudospectra, transient_growth
from .spectrum import lyapunov
from .stability import stability_region
from .style import axes, colour, panels, svg
from .text import coloured_text
from .training import clipping, learning_curve, smooth, step_lengths
from .units import compared_time_scales, saturation, time_scales

__all__ = [
    "axes",
    "branch",
    "clipping",
    "colour",
    "coloured_text",
    "compared_time_scales",
    "diagnosis",
    "direct_products",
    "fixed_points",
    "gradient_flow",
    "held_inputs",
    "lag_gradients",
    "learning_curve",
    "lyapunov",
    "numerical_range",
    "panels",
    "path_norms",
    "pseudospectra",
    "saturation",
    "singular_values",
    "smooth",
    "stability_region",
    "step_lengths",
    "svg",
    "time_scales",
    "transient_growth",
]
