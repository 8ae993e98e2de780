"""The cells of the ODE literature as their papers print them, in NumPy, with the time step as an argument."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]


def sigm(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def modrelu(size: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(size + b, 0) / size


def ctrnn(p: Arrays, x: np.ndarray, s: Arrays, dt: float | np.ndarray = 0.1) -> Arrays:
    """Song et al. 2016: tau dx/dt = -x + W_rec r + W_in u + b, r = f(x)."""
    h, tau = s["h"], np.log1p(np.exp(p["tau"])) if "tau" in p else 1.0
    return {"h": h + dt / tau * (-h + np.tanh(h) @ p["U"].T + x @ p["W"].T + p["b"])}


def antisymmetric_rnn(p: Arrays, x: np.ndarray, s: Arrays, dt: float | np.ndarray = 0.01) -> Arrays:
    """Chang et al. 2019, equation 12, and 15 with a gate; U stands for W - W^T."""
    M = p["U"] - 0.01 * np.eye(len(p["U"]))
    if len(p["W"]) == len(M):
        return {"h": s["h"] + dt * np.tanh(s["h"] @ M.T + x @ p["W"].T + p["b"])}
    (V_z, V_h), (b_z, b_h) = np.split(p["W"], 2), np.split(p["b"], 2)
    z = sigm(s["h"] @ M.T + x @ V_z.T + b_z)
    return {"h": s["h"] + dt * z * np.tanh(s["h"] @ M.T + x @ V_h.T + b_h)}


def lipschitz_rnn(p: Arrays, x: np.ndarray, s: Arrays, dt: float | np.ndarray = 0.03) -> Arrays:
    """Erichson et al. 2021, equation 4, by the Euler method; A and W are the blocks of U."""
    A, W = np.split(p["U"], 2)
    z = s["h"] @ W.T + x @ p["W"].T + p["b"]
    return {"h": s["h"] + dt * (s["h"] @ A.T) + dt * np.tanh(z)}


def gru_ode(p: Arrays, x: np.ndarray, s: Arrays, dt: float | np.ndarray = 0.1) -> Arrays:
    """De Brouwer et al. 2019, equation 3: dh/dt = (1 - z) (g - h)."""
    (W_r, W_z, W_h), (U_r, U_z, U_h), (b_r, b_z, b_h) = (np.split(p[k], 3) for k in ("W", "U", "b"))
    r, z = sigm(x @ W_r.T + s["h"] @ U_r.T + b_r), sigm(x @ W_z.T + s["h"] @ U_z.T + b_z)
    g = np.tanh(x @ W_h.T + (r * s["h"]) @ U_h.T + b_h)
    return {"h": s["h"] + dt * (1 - z) * (g - s["h"])}


def lem(p: Arrays, u: np.ndarray, s: Arrays, dt: float | np.ndarray = 1.0) -> Arrays:
    """Rusch et al. 2022, equation 3."""
    (V_1, V_2, V_z, V_y), (W_1, W_2, W_z, W_y), (b_1, b_2, b_z, b_y) = (
        np.split(p[k], 4) for k in ("W", "U", "b")
    )
    dt_1 = dt * 0.5 * (1 + np.tanh((s["y"] @ W_1.T + u @ V_1.T + b_1) / 2))
    dt_2 = dt * 0.5 * (1 + np.tanh((s["y"] @ W_2.T + u @ V_2.T + b_2) / 2))
    z = (1 - dt_1) * s["z"] + dt_1 * np.tanh(s["y"] @ W_z.T + u @ V_z.T + b_z)
    return {"y": (1 - dt_2) * s["y"] + dt_2 * np.tanh(z @ W_y.T + u @ V_y.T + b_y), "z": z}


def cornn(p: Arrays, u: np.ndarray, s: Arrays, dt: float | np.ndarray = 0.042) -> Arrays:
    """Rusch and Mishra 2021, equation 3, with the damping at the old time."""
    W_y, W_z = np.split(p["U"], 2, axis=1)
    drive = np.tanh(s["y"] @ W_y.T + s["z"] @ W_z.T + u @ p["W"].T + p["b"])
    z = s["z"] + dt * drive - dt * 2.7 * s["y"] - dt * 4.7 * s["z"]
    return {"y": s["y"] + dt * z, "z": z}


def unicornn(p: Arrays, u: np.ndarray, s: Arrays, dt: float | np.ndarray = 0.1) -> Arrays:
    """Rusch and Mishra 2021b, equation 6, one layer."""
    own = dt * (0.5 + 0.5 * np.tanh(p["c"] / 2))
    z = s["z"] - own * (np.tanh(p["U"] * s["y"] + u @ p["W"].T + p["b"]) + 10.0 * s["y"])
    return {"y": s["y"] + own * z, "z": z}


def ltc(p: Arrays, x: np.ndarray, s: Arrays, dt: float | np.ndarray = 0.1) -> Arrays:
    """Hasani et al. 2021, equation 3: the fused solver."""
    f, tau = sigm(s["h"] @ p["U"].T + x @ p["W"].T + p["b"]), np.log1p(np.exp(p["tau"]))
    return {"h": (s["h"] + dt * f * p["A"]) / (1 + dt * (1 / tau + f))}


def cfc(p: Arrays, x: np.ndarray, s: Arrays, dt: float | np.ndarray = 1.0) -> Arrays:
    """Hasani et al. 2022, the closed form with gates: sigma(-f t) g + (1 - sigma(-f t)) h."""
    f, g, h = np.split(x @ p["W"].T + s["h"] @ p["U"].T + p["b"], 3, axis=1)
    return {"h": sigm(-f * dt) * np.tanh(g) + (1 - sigm(-f * dt)) * np.tanh(h)}


def shplrnn(p: Arrays, x: np.ndarray, s: Arrays, clipped: bool = False) -> Arrays:
    """Hess et al. 2023, equations 2 and, clipped, 6."""
    a = s["z"] @ p["U"].T
    inner = np.maximum(a + p["h_2"], 0) - (np.maximum(a, 0) if clipped else 0)
    return {"z": p["A"] * s["z"] + inner @ p["U_z"].T + p["b"] + x @ p["W"].T}


def modrelu_rnn(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    """Helfrich et al. 2018, equations 1 and 6."""
    z = x @ p["W"].T + s["h"] @ p["U"].T
    return {"h": z * modrelu(np.abs(z), p["threshold"])}


def unitary_rnn(p: Arrays, x: np.ndarray, s: Arrays) -> Arrays:
    """Arjovsky et al. 2016, with complex numbers where U is of complex structure; any U goes here."""
    both = x @ p["W"].T + np.concatenate([s["re"], s["im"]], axis=1) @ p["U"].T
    re, im = np.split(both, 2, axis=1)
    z = (re + 1j * im) * modrelu(np.sqrt(re**2 + im**2 + 1e-5), p["threshold"])
    return {"re": z.real, "im": z.imag}


WITH_STEP = (ctrnn, antisymmetric_rnn, lipschitz_rnn, gru_ode, lem, cornn, unicornn, ltc, cfc)
PRINTED = {f.__name__: f for f in (*WITH_STEP, shplrnn, modrelu_rnn, unitary_rnn)}
