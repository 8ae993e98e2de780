"""The blocks in which the Jacobians of a cell are dense, for `kernels.qr`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..cells import Cell
from ..cells.layout import Layout
from ..kernels.qr import Structure


@lru_cache(maxsize=1024)
def structure(cell: Cell, layout: Layout) -> Structure:
    """The structure of the Jacobians of a cell: the columns of a slot that no product reads have diagonals only."""
    from .cpu import tables as t

    entries = t.diagonals(cell, layout)[0]
    entries = entries[entries[:, t.D_NEW] > 0]
    direct = entries[:, t.D_FROM_STATE] > 0
    products = entries[~direct & (entries[:, t.D_HIGH] > entries[:, t.D_LOW])]
    low, high = (products[:, t.D_LOW].min(), products[:, t.D_HIGH].max()) if len(products) else (0, 0)
    return Structure(
        int(low), int(high), np.ascontiguousarray(entries[direct][:, [t.D_OUT, t.D_IN, t.D_WIDTH]])
    )
