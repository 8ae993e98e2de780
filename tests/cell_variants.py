"""The cells and options that the engines are tested on, in one table; each tier takes those that are marked with it.

A tier is where the checks of `cell_checks` run: "quick" compiles in every run of the tests, "compiled" with `-m full`,
"interpreted" runs the programs as NumPy code, "simulated" the kernels of CUDA in Numba's simulator, and "assembly"
reads the machine code of the rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from odd_cells import ODD
from odd_readers import READERS

from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, NAMED, Cell, heads, low_rank
from recurrent_dynamics.equations import over_units, tanh

TIERS = ("quick", "compiled", "interpreted", "simulated", "assembly")


class Variant(NamedTuple):
    cell: Cell
    tiers: tuple[str, ...]


def _in(*tiers: str, **made: Cell) -> dict[str, Variant]:
    assert set(tiers) <= set(TIERS)
    return {name: Variant(cell, tiers) for name, cell in made.items()}


VARIANTS: dict[str, Variant] = {
    # The library: everywhere, three cells in the quick tier as well.
    **_in(
        "compiled", "interpreted", "simulated", "assembly",
        **{name: make() for name, make in NAMED.items()} | {"lstm_projected": cells.lstm_projected(5)},
    ),
    **_in(*TIERS, lstm=cells.lstm(), gru=cells.gru(), elman=cells.elman()),
    # Its options.
    **_in(
        "compiled", "interpreted", "assembly",
        leaky_learnt=cells.leaky(gate="learnt"),
        leaky_input=cells.leaky(gate="input"),
    ),
    **_in(
        "compiled", "interpreted",
        ctrnn_irregular=cells.ctrnn(dt=None, learnt=True),
        antisymmetric_rnn_gated=cells.antisymmetric_rnn(gated=True),
        shplrnn_clipped=cells.shplrnn(5, clipped=True),
        ltc_irregular=cells.ltc(dt=None),
        cfc_irregular=cells.cfc(dt=None),
        elman_elu=cells.elman("elu"),
    ),
    **_in("interpreted", ctrnn_noise=cells.ctrnn(noise=True)),
    # Those that read a memory at every step.
    **_in(
        "interpreted", "simulated",
        attention=cells.attention(keys="3", values="5"),
        attention_after=cells.attention(cells.gru(), "general", "after", values="2"),
    ),
    **_in(
        "simulated",
        attention_dot=cells.attention(cells.elman(), "dot", values="2"),
        attention_monotonic=cells.attention(cells.elman(), weights="monotonic", location=1, keys="3", values="2"),
        attention_covering=cells.attention(cells.gru(), location=1, coverage=True, query="after", values="3"),
        attention_pointer=cells.attention(cells.elman(), "general", "after", alignment=True),
        attention_unfed=cells.attention(cells.elman(), "additive", "after", input_feeding=False, values="2"),
        attention_given=cells.attention(cells.elman(), lambda keys, h: over_units(tanh(keys * h)), "after"),
        **READERS,
    ),
    **_in("interpreted", ctrnn_learnt=cells.ctrnn(learnt=True), cornn_irregular=cells.cornn(dt=None)),
    **_in("compiled", elman_hard_sigmoid=cells.elman("hard_sigmoid")),
    **_in(
        "interpreted",
        **{f"elman_{f}": cells.elman(f) for f in ("identity", "relu", "leaky_relu", "softsign", "hard_tanh")},
    ),
    **_in("interpreted", "simulated", elman_sin=cells.elman("sin")),
    # Normalization and structures of U; the interpreted tier combines them with all cells.
    **_in("compiled", "assembly", lstm_normalized=cells.lstm().with_normalization()),
    **_in("compiled", "simulated", "assembly", gru_normalized=cells.gru().with_normalization()),
    **_in(
        "compiled",
        gru_in_heads=cells.gru().with_structure(heads(3)),
        lstm_diagonal=cells.lstm().with_structure(DIAGONAL),
        gru_reset_before_of_low_rank=cells.gru_reset_before().with_structure(low_rank(2)),
    ),
    **_in(
        "simulated",
        elman_in_heads=cells.elman().with_structure(heads(2)),
        gru_of_low_rank=cells.gru().with_structure(low_rank(2)),
        elman_diagonal_normalized=cells.elman().with_structure(DIAGONAL).with_normalization(),
    ),
    # Noise within the recurrence.
    **_in(
        "compiled", "interpreted", "simulated",
        lstm_noisy=cells.zoneout(cells.recurrent_dropout(cells.variational_dropout(cells.lstm(), 0.3), 0.2), 0.1),
    ),
    **_in(
        "interpreted",
        gru_variational=cells.variational_dropout(cells.gru(), 0.3),
        gru_recurrent_dropout=cells.recurrent_dropout(cells.gru().with_normalization(), 0.3),
        gru_reset_before_variational=cells.variational_dropout(cells.gru_reset_before(), 0.3, ["z", "n"]),
        gru_of_low_rank_variational=cells.variational_dropout(cells.gru().with_structure(low_rank(2)), 0.3),
        indrnn_variational=cells.variational_dropout(cells.indrnn(), 0.3),
        cfc_irregular_zoneout=cells.zoneout(cells.cfc(dt=None), 0.3),
        mut3_recurrent_dropout=cells.recurrent_dropout(cells.mut3(), 0.3),
    ),
    # What no library needs but the contract allows.
    **_in("interpreted", "simulated", **ODD),
    **_in(
        "compiled", "interpreted", "simulated",
        **{
            name: ODD[name]
            for name in (
                "coupled oscillators", "two time scales", "operands side by side", "signals", "means", "widths",
            )
        },
    ),
}  # fmt: skip


def of(tier: str) -> dict[str, Cell]:
    """The cells of a tier by their names."""
    return {name: variant.cell for name, variant in VARIANTS.items() if tier in variant.tiers}


def compiled() -> list[Any]:
    """The names of all cells that are compiled, for one test in both tiers: those of the quick one have no mark."""
    return [
        name if "quick" in variant.tiers else pytest.param(name, marks=pytest.mark.full)
        for name, variant in VARIANTS.items()
        if "compiled" in variant.tiers
    ]
