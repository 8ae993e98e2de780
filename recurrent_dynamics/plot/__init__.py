"""Figures of the library's results.

Every function takes `ax=` and returns the axes it drew on. Functions of several panels take `axes=`, one for each
panel, and return an array of axes. The methods `.plot` of the results do the same. A result of another class, axes that
are none, or an option of another kind raises `ArgumentTypeError` or `ArgumentError`, which name the argument.

If `matplotlib.pyplot` was imported before, a new figure is one of pyplot's: `plt.show` shows it, `plt.savefig` saves
it, and a notebook draws it below the cell. Else a new figure has no global state: it is ``ax.figure``, has a method
`savefig`, and is freed with the last name for it.
"""

from .attention import alignment, attended_picture, attention_paths
from .branch import branch
from .ctc import ctc_alignment
from .decoding import decoded
from .diagnosis import diagnosis
from .distributions import angles, gate, gradient_growth
from .exposure import exposure, loop_growth
from .fixed_points import fixed_points, held_inputs
from .flow import direct_products, gradient_flow, path_norms, singular_values
from .history import history
from .lags import lag_gradients
from .matrices import kreiss_constant, numerical_range, pseudospectra, transient_growth
from .phase_plane import flow_field, phase_portrait
from .runs import norms, states, steps
from .spectrum import lyapunov
from .stability_region import stability_region
from .style import axes, colour, given_or_panels, panels, svg, without_pyplot
from .text import coloured_text
from .training import clipping, learning_curve, smooth, step_lengths
from .trees import by_depth, graph, tree_states
from .units import compared_time_scales, saturation, time_scales, tracking

__all__ = [
    "alignment",
    "angles",
    "attended_picture",
    "attention_paths",
    "axes",
    "branch",
    "by_depth",
    "clipping",
    "colour",
    "coloured_text",
    "compared_time_scales",
    "ctc_alignment",
    "decoded",
    "exposure",
    "loop_growth",
    "diagnosis",
    "direct_products",
    "fixed_points",
    "flow_field",
    "gate",
    "given_or_panels",
    "gradient_flow",
    "gradient_growth",
    "graph",
    "held_inputs",
    "history",
    "kreiss_constant",
    "lag_gradients",
    "learning_curve",
    "lyapunov",
    "norms",
    "numerical_range",
    "panels",
    "phase_portrait",
    "path_norms",
    "pseudospectra",
    "saturation",
    "singular_values",
    "smooth",
    "stability_region",
    "states",
    "step_lengths",
    "steps",
    "svg",
    "time_scales",
    "tracking",
    "transient_growth",
    "tree_states",
    "without_pyplot",
]
