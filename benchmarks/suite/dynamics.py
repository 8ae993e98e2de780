"""What happens to gradients and perturbations along a run, and in single matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import dynamics

from .common import problem_of


class AlongARun:
    """An LSTM of 64 units in double precision over 100 steps of 16 sequences."""

    params = (
        [
            "jacobian_products",
            "omega",
            "lag_gradients",
            "gradient_growth",
            "log_determinants",
            "measured_time_scales",
            "direct_products",
        ],
    )
    param_names = ("analysis",)
    timeout = 600

    def setup(self, analysis: str) -> None:
        cell, params, x, d_output = problem_of(rd.cells.lstm(), (100, 16, 64, 64), "float64")
        self.run, self.d_output = rd.forward(cell, params, x), d_output
        last = np.zeros_like(d_output)
        last[-1] = d_output[-1]
        self.d_states = rd.backward(self.run, last).states
        self.analyse = {
            "jacobian_products": lambda: dynamics.jacobian_products(rd.jacobian(self.run)[:, :2]),
            "omega": lambda: dynamics.omega(self.run, self.d_states),
            "lag_gradients": lambda: dynamics.lag_gradients(self.run, self.d_output, longest=20),
            "gradient_growth": lambda: dynamics.gradient_growth(self.d_states["h"], skip=10),
            "log_determinants": lambda: dynamics.log_determinants(self.run),
            "measured_time_scales": lambda: dynamics.measured_time_scales(self.run.states["c"]),
            "direct_products": lambda: dynamics.direct_products(dynamics.direct_factors(self.run)["c"]),
        }[analysis]
        self.analyse()

    def time_analysis(self, analysis: str) -> None:
        self.analyse()


class Covariant:
    """Covariant vectors of a GRU of 32 units, all of them, over 200 steps."""

    timeout = 600

    def setup(self) -> None:
        cell, params, x, _ = problem_of(rd.cells.gru(), (200, 4, 8, 32), "float64")
        self.run = rd.forward(cell, params, x)
        self.time_all_vectors()

    def time_all_vectors(self) -> None:
        dynamics.covariant_vectors(self.run, count=24, transient=50, backward_transient=50)


class Matrices:
    """Non-normality of a matrix of 128 rows with random entries, and of a triangular one, far from normal."""

    params = (
        [
            "kreiss_constant",
            "pseudospectral_radius",
            "pseudospectral_abscissa",
            "pseudospectra",
            "transient_growth",
            "numerical_radius",
        ],
        ["random", "triangular"],
    )
    param_names = ("what", "matrix")
    timeout = 600

    def setup(self, what: str, matrix: str) -> None:
        draws = np.random.default_rng(0).standard_normal((128, 128)) / np.sqrt(128)
        random = 0.95 * draws / np.abs(np.linalg.eigvals(draws)).max()
        self.matrix = random if matrix == "random" else np.triu(draws, 1) + 0.5 * np.eye(128)
        self.options: dict[str, Any] = {
            "pseudospectral_radius": {"epsilon": 1e-2},
            "pseudospectral_abscissa": {"epsilon": 1e-2},
            "pseudospectra": {"points": 50},
            "transient_growth": {"bounds": False},
        }.get(what, {})
        self.function = getattr(dynamics, what)

    def time_matrix(self, what: str, matrix: str) -> None:
        self.function(self.matrix, **self.options)
