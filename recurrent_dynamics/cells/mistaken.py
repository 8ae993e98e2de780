"""What came in the place of a cell, in words that say what to pass instead."""

from __future__ import annotations

from typing import Any


def what_came(value: Any) -> str:
    """For the end of "cell must be a Cell; came ...".

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> what_came(rd.cells.gru)
    'the function gru, which makes one: call it, gru()'
    >>> what_came("gru")
    "'gru': pass rd.cells.by_name('gru')"
    """
    from .named import NAMED

    if callable(value) and getattr(value, "__name__", None) in NAMED:
        return f"the function {value.__name__}, which makes one: call it, {value.__name__}()"
    if isinstance(value, str) and value in NAMED:
        return f"{value!r}: pass rd.cells.by_name({value!r})"
    layers = getattr(value, "cells", None)
    if isinstance(layers, list) and hasattr(value, "cell_params"):
        which = "0" if len(layers) == 1 else f"0 to {len(layers) - 1}"
        kind, whole = "a Model", "model.forward(params, inputs)"
        if hasattr(value, "layer"):
            kind, whole = "an Objective", "model.layer(params, inputs)"
        return (
            f"{kind}: pass one layer i of it, {which}, by model.cells[i] and model.cell_params(params)[i], or run the "
            f"whole by {whole}"
        )
    if isinstance(value, tuple | list) and value:
        first = value[0]
        if isinstance(first, tuple | list) and first:
            first = first[0]
        if hasattr(first, "fingerprint"):
            return (
                f"a {type(value).__name__} that begins with a cell: unpack a pair, cell, params = pair; for stacked "
                "layers from_torch returns a list of pairs, one a layer"
            )
    if hasattr(value, "state_dict"):
        return f"a {type(value).__name__} with a state_dict: cell, params = rd.interop.from_torch(module)"
    return type(value).__name__
