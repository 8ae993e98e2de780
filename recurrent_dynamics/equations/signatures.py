"""The arguments of the row functions that are generated for a cell."""

from __future__ import annotations

# Arguments of each verb: arrays, each followed by the offset of its row unless the row is common to all steps.
# E values of a step, S state before it, N after it, P per-unit vectors, C constants, J local diagonals;
# prefixes: t tangent, d cotangent, u tangent of the cotangent.
SIGNATURES: dict[str, str] = {
    "forward": "E, e, S, s, P, C, N, n",
    "adjoint": "E, e, S, s, P, C, dN, dn, dE, dS, ds, dP, dp",
    "tangent": "E, e, S, s, P, C, tE, tS, tP, tN, tn",
    "second": "E, e, S, s, P, C, tE, tS, tP, dE, dN, dn, uN, uE, uS, us, uP, up",
    "jacobian": "E, e, S, s, P, C, J",
}
OFFSETS = {
    "E": "e", "S": "s", "N": "n", "dN": "dn", "dE": "e", "dS": "ds", "dP": "dp",
    "tE": "e", "tS": "s", "tN": "tn", "uN": "dn", "uE": "e", "uS": "us", "uP": "up",
}  # fmt: skip
