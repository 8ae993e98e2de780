"""The arguments that a case of the fuzzing begins with, for each function of the lower rooms."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from ode_fields import CHAIN

import recurrent_dynamics as rd
from recurrent_dynamics import dynamics, ode

T, B, H, N = 20, 2, 3, 2


@lru_cache(maxsize=1)
def given_arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    cell = rd.cells.elman()
    params = cell.init(N, H, dtype="float64", rng=rng)
    x = rng.standard_normal((T, B, N))
    run = rd.forward(cell, params, x)
    A = 0.5 * rng.standard_normal((3, 3))
    return {
        "cell": cell, "params": params, "x": x, "run": run, "d": rng.standard_normal((T, B, H)), "A": A,
        "jacobians": rd.jacobian(run), "spins": rng.uniform(0.1, 0.9, (T, B, H)), "h": {"h": np.zeros((B, H))},
        "field": ode.vector_field(rd.cells.elman()), "partitioned": CHAIN,
        "map": dynamics.Map(lambda s: s @ A.T, lambda s: np.broadcast_to(A, (len(s), 3, 3))),
    }  # fmt: skip


# Of every function the arguments that a case begins with, one of which is then replaced; made when they are asked for.
BEGINNINGS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "forward": lambda g: {"cell": g["cell"], "params": g["params"], "x": g["x"], "initial": None, "lengths": None,
                          "reset": None, "check_finite": True, "copy_params": True, "tape": True, "tf32": False},
    "backward": lambda g: {"run": g["run"], "d_output": g["d"], "d_states": None, "d_final": None},
    "jvp": lambda g: {"run": g["run"], "d_params": None, "d_x": g["x"], "d_initial": None, "d_signals": None},
    "hvp": lambda g: {"run": g["run"], "d_output": g["d"], "d_params": None, "d_output_tangent": None, "d_x": g["x"],
                      "d_initial": None},
    "jacobian": lambda g: {"run": g["run"], "steps": None},
    "jacobian_operator": lambda g: {"run": g["run"]},
    "freeze": lambda g: {"cell": g["cell"], "params": g["params"]},
    "stepper": lambda g: {"cell": g["cell"], "params": g["params"]},
    "dynamics.alignment": lambda g: {"run": g["run"]},
    "dynamics.covariant_vectors": lambda g: {
        "system": g["map"], "initial": np.ones(3), "steps": 40, "count": 2, "transient": 5, "backward_transient": 5,
        "every": 1, "rng": 0},
    "dynamics.lyapunov": lambda g: {"system": g["map"], "initial": np.ones(3), "steps": 40, "count": 2,
                                    "transient": 5, "tolerance": 1.0, "check": False, "rng": 0},
    "dynamics.departure_from_normality": lambda g: {"matrices": g["A"], "relative": False},
    "dynamics.direct_factors": lambda g: {"run": g["run"]},
    "dynamics.direct_products": lambda g: {"factors": g["spins"], "steps": None},
    "dynamics.eigenvector_condition": lambda g: {"matrices": g["A"]},
    "dynamics.finite_time_exponents": lambda g: {"run": g["run"], "count": 2, "interval": 1, "rng": 0},
    "dynamics.fixed_points": lambda g: {
        "cell": g["cell"], "params": g["params"], "starts": np.zeros((4, H)), "input": np.zeros(N), "period": 1,
        "number": None, "noise": 0.0, "rng": 0, "tolerance": 1e-12, "iterations": 20, "within": 1e6, "centre": 1e-6},
    "dynamics.flossing": lambda g: {"run": g["run"], "count": 2, "target": 0.0, "interval": 1, "rng": 0},
    "dynamics.gates": lambda g: {"run": g["run"]},
    "dynamics.gradient_flow": lambda g: {"d_states": g["d"]},
    "dynamics.gradient_growth": lambda g: {"d_states": g["d"], "skip": 0},
    "dynamics.jacobian_products": lambda g: {"jacobians": g["jacobians"], "steps": None, "start": 0},
    "dynamics.kreiss_constant": lambda g: {"matrices": g["A"], "kind": "map"},
    "dynamics.lag_gradients": lambda g: {"run": g["run"], "d_output": g["d"], "longest": 5},
    "dynamics.log_determinants": lambda g: {"run": g["run"]},
    "dynamics.logarithmic_norm": lambda g: {"matrices": g["A"], "order": 2},
    "dynamics.measured_time_scales": lambda g: {"states": g["d"]},
    "dynamics.numerical_abscissa": lambda g: {"matrices": g["A"]},
    "dynamics.numerical_radius": lambda g: {"matrices": g["A"]},
    "dynamics.numerical_range": lambda g: {"matrices": g["A"], "points": 16},
    "dynamics.omega": lambda g: {"run": g["run"], "d_states": {"h": g["d"]}},
    "dynamics.path_norms": lambda g: {"jacobians": g["jacobians"], "direct": g["spins"], "offset": 0, "steps": None},
    "dynamics.powers_of_two": lambda g: {"longest": 9},
    "dynamics.pseudospectra": lambda g: {"matrices": g["A"], "points": 8, "limits": None, "kind": "map"},
    "dynamics.pseudospectral_abscissa": lambda g: {"matrices": g["A"], "epsilon": 0.1},
    "dynamics.pseudospectral_radius": lambda g: {"matrices": g["A"], "epsilon": 0.1},
    "dynamics.saturation": lambda g: {"values": g["spins"], "thresholds": (0.1, 0.9), "dead_below": 0.01},
    "dynamics.spectral_abscissa": lambda g: {"matrices": g["A"]},
    "dynamics.spectral_radius": lambda g: {"matrices": g["A"]},
    "dynamics.states": lambda g: {"run": g["run"]},
    "dynamics.time_scales": lambda g: {"factors": g["spins"]},
    "dynamics.tracking": lambda g: {"values": g["d"], "signals": {"odd": g["d"][:, :, 0]}, "held_out": 0.5},
    "dynamics.transient_growth": lambda g: {"matrices": g["A"], "steps": 10, "kind": "map", "time_step": None,
                                            "bounds": True},
    "ode.discretize": lambda g: {"field": g["field"], "method": "euler", "dt": 0.1, "step": "fixed", "inverse": False},
    "ode.linear_stability": lambda g: {
        "field": g["field"], "params": g["field"].init(N, H, dtype="float64", rng=0), "states": np.zeros((4, H)),
        "method": "euler", "dt": 0.1, "input": np.zeros(N)},
    "ode.gate": lambda g: {"tau": 2.0, "dt": 0.5, "method": "euler"},
    "ode.gated_spectrum": lambda g: {"alpha": 0.5, "matrices": g["A"]},
    "ode.largest_stable_step": lambda g: {"eigenvalues": [-1.0, -0.5 + 1j], "method": "rk4", "linear": 0.0},
    "ode.reach": lambda g: {"method": "rk4", "directions": [-1.0, 1j], "linear": 0.0},
    "ode.runge_kutta": lambda g: {"name": "heun", "matrix": [[], [1.0]], "weights": [0.5, 0.5], "order": 2},
    "ode.smallest_gate": lambda g: {"matrices": g["A"]},
    "ode.stability_boundary": lambda g: {"method": "rk4", "points": 16, "linear": 0.0},
    "ode.stability_function": lambda g: {"method": "rk4", "z": [-1.0, 1j], "linear": 0.0},
    "ode.stability_interval": lambda g: {"method": "rk4", "axis": "real"},
    "ode.step_stability": lambda g: {"run": g["run"], "steps": None},
    "ode.time_constant": lambda g: {"alpha": 0.5, "method": "euler"},
    "ode.vector_field": lambda g: {"cell": rd.cells.gru(), "tau": 1.0},
    "parametrize.orthogonality_penalty": lambda g: {"U": g["A"], "strength": 1.0},
    "ravel": lambda g: {"tree": g["params"]},
    "gradients.truncated_bptt": lambda g: {
        "cell": g["cell"], "params": g["params"], "x": g["x"], "loss_gradient": lambda output: output,
        "window": 4, "stride": 2, "initial": None},
    "data.pad": lambda g: {"sequences": [g["x"][:, 0], g["x"][:4, 1]], "value": 0.0, "steps": 1},
    "data.collate": lambda g: {
        "sequences": {"a": [g["x"][:, 0], g["x"][:4, 1]]}, "values": {"b": [0, 1]}, "dtype": "float64"},
    "data.crop": lambda g: {"shortest": 0.5},
    "data.drop_tokens": lambda g: {"rate": 0.1, "replacement": 2},
    "data.time_warp": lambda g: {"strength": 0.2, "stretch": 0.1, "knots": 4},
    "data.partition": lambda g: {
        "count": 20, "fractions": [0.5, 0.5], "seed": 0, "labels": None, "groups": None},
    "data.patches": lambda g: {"images": g["x"][:, :, :2].repeat(2, 1), "size": 2},
    "data.digit_scenes": lambda g: {"images": np.ones((4, 3, 3)), "labels": [1, 2, 3, 8], "count": 3, "rng": 0},
    "data.words": lambda g: {"text": "a b", "lower": True},
    "dynamics.flow_field": lambda g: {
        "system": g["cell"], "params": g["params"], "plane": dynamics.phase_portrait(g["run"]), "input": np.zeros(N),
        "limits": None, "points": 4},
    "dynamics.frequencies": lambda g: {"eigenvalues": [0.5, 0.3 + 0.4j], "dt": 1.0},
    "dynamics.phase_portrait": lambda g: {"states": g["run"], "conditions": None, "count": 2},
    "dynamics.time_constants": lambda g: {"eigenvalues": [0.5, 0.3 + 0.4j], "dt": 1.0},
    "compile": lambda g: {"cell": g["cell"], "verbs": ["forward"], "dtype": "float64", "class_indices": False,
                          "processes": 1},
    "dynamics.continuation": lambda g: {
        "cell": g["cell"], "params": g["params"], "start": np.zeros(H), "along": "U", "bounds": (0.9, 1.1),
        "input": np.zeros(N), "signals": None, "begin": 1.0, "step": 0.05, "longest": 0.2, "steps": 20,
        "increase": True},
    "dynamics.diagnose": lambda g: {
        "flows": np.geomspace(1, 1e-3, 9), "truncation": 8, "gradient_norms": np.ones(30), "clipped_norms": np.ones(30),
        "losses": np.geomspace(1, 0.5, 30), "validation_losses": np.geomspace(1, 0.6, 30), "baseline": 1.0,
        "states": {"h": g["d"]}, "gates": None, "loss_by_step": np.ones(9), "validation_by_step": np.ones(9),
        "trial": None, "gated": False},
    "ode.implicit_forward": lambda g: {
        "field": g["field"], "params": g["field"].init(N, H, dtype="float64", rng=0), "x": g["x"][:4],
        "method": "implicit_euler", "dt": 0.1, "step": "fixed", "steps": None, "initial": g["h"], "lengths": None,
        "reset": None, "signals": None, "iterations": 20, "tolerance": 1e-10},
    "ode.reversible_forward": lambda g: {
        "field": g["partitioned"], "params": g["partitioned"].init(N, H, dtype="float64", rng=0), "x": g["x"],
        "method": "leapfrog", "dt": 0.1, "step": "fixed", "steps": None, "initial": {"q": np.zeros((B, H))},
        "lengths": None, "reset": None, "signals": None, "chunk": 4},
    "gradients.truncated_windows": lambda g: {
        "cell": g["cell"], "params": g["params"], "x": g["x"], "loss_gradient": g["d"], "window": 4, "stride": 2,
        "initial": None, "signals": None},
    "data.split": lambda g: {"indices": np.arange(50), "fraction": 0.5},
    "data.text_signals": lambda g: {"text": "abc def"},
}  # fmt: skip
