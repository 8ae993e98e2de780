"""A whole model from PyTorch: an embedding, recurrent layers and a linear readout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ..checks import ArgumentError, instance
from ..nn import Layer, Model
from .torch import KEY, arrays_of, as_array, from_torch


def model_from_torch(
    state_dict: Mapping[str, Any],
    *,
    loss: str = "cross_entropy",
    nonlinearity: str | None = None,
    readout: str | None = None,
    embedding: str | None = None,
) -> tuple[Model, dict[str, Any]]:
    """A model with its parameters from the state dict of a module with recurrent layers and a linear readout.

    The analyses and `rd.diagnose` take both.

    Parameters
    ----------
    state_dict : mapping or module
        Holds one `torch.nn.RNN`, `GRU` or `LSTM`, a `Linear` that reads its output, and maybe an `Embedding` before it.
    loss : {"cross_entropy", "mean_squared_error"}
        Of the model.
    nonlinearity : {"tanh", "relu"}, optional
        Of an RNN, as for `from_torch`.
    readout, embedding : str, optional
        Where they stand, such as "fc" and "embed". Without, the one linear layer as wide as the output, and the one
        table as wide as the input, are taken.

    Returns
    -------
    model : Model
    params : dict
        Copies.

    Raises
    ------
    ValueError, TypeError
        When there is no readout, several layers could be it, or there is anything else.

    Examples
    --------
    >>> import numpy as np
    >>> shapes = {"embed.weight": (7, 2), "rnn.weight_ih_l0": (12, 2), "rnn.weight_hh_l0": (12, 3),
    ...           "rnn.bias_ih_l0": (12,), "rnn.bias_hh_l0": (12,), "fc.weight": (7, 3), "fc.bias": (7,)}
    >>> model, params = model_from_torch({name: np.zeros(shape, "float32") for name, shape in shapes.items()})
    >>> model
    Model(7 classes -> lstm 3 -> 7, cross_entropy)
    """
    if nonlinearity is None and not isinstance(state_dict, Mapping):
        modules = state_dict.modules() if hasattr(state_dict, "modules") else [state_dict]
        nonlinearity = next(
            (m.nonlinearity for m in modules if isinstance(getattr(m, "nonlinearity", 0), str)), None
        )
    arrays = arrays_of(state_dict)
    layers = {key: value for key, value in arrays.items() if KEY.fullmatch(key)}
    others = {key: as_array(key, value) for key, value in arrays.items() if key not in layers}
    read: Any = from_torch(layers, nonlinearity)
    pairs = read if isinstance(read, list) else [read]
    if isinstance(pairs[0][0], Layer):
        raise ArgumentError(
            "state_dict",
            "hold recurrent layers of one direction, as a Model has",
            "two directions: from_torch reads them as a layer",
        )
    width, inputs = pairs[-1][1]["U"].shape[1], pairs[0][1]["W"].shape[1]
    linear, tables = _matrices(others, width, biased=True), _matrices(others, inputs, biased=False)
    for name, value in (("readout", readout), ("embedding", embedding)):
        if value is not None:
            instance(name, value, str)
    tables.pop("" if readout is None else readout, None)
    if len(linear) == 1:  # the readout then, if it is as wide as the input too
        tables.pop(next(iter(linear)), None)
    table = _chosen("embedding", embedding, tables, inputs, optional=True)
    linear.pop(table, None)
    chosen = _chosen("readout", readout, linear, width, optional=False)
    used = {f"{chosen}.weight", f"{chosen}.bias", f"{table}.weight"}
    for key in others:
        if key not in used:
            raise ArgumentError(
                "state_dict", "hold an embedding, recurrent layers and a readout alone", f"{key!r} too"
            )
    W = linear[chosen]
    b = others.get(f"{chosen}.bias")
    params: dict[str, Any] = {} if not table else {"embedding": {"table": tables[table]}}
    params["layers"] = {str(i): p for i, (_, p) in enumerate(pairs)}
    params["readout"] = {"W": W, "b": W[:, 0] * 0 if b is None else b}
    source: dict[str, Any] = (
        {"vocabulary_size": len(tables[table]), "embedding_size": inputs} if table else {"input_size": inputs}
    )
    hidden = [cell.sizes(p)[1] for cell, p in pairs]
    return Model([cell for cell, _ in pairs], hidden, output_size=len(W), loss=loss, **source), params


def _matrices(arrays: Mapping[str, NDArray[Any]], columns: int, biased: bool) -> dict[str, NDArray[Any]]:
    """By the name of their module; those with a bias only if `biased`."""
    found = {key.removesuffix(".weight"): a for key, a in arrays.items() if key.endswith(".weight")}
    return {
        name: a
        for name, a in found.items()
        if a.ndim == 2 and a.shape[1] == columns and (biased or f"{name}.bias" not in arrays)
    }


def _chosen(
    what: str, name: str | None, candidates: Mapping[str, NDArray[Any]], width: int, optional: bool
) -> str:
    listing = ", ".join(map(repr, candidates)) or "none"
    if name is not None:
        if not isinstance(name, str) or name not in candidates:
            raise ArgumentError(what, f"be one of the modules with {width} columns, {listing}", repr(name))
        return name
    if len(candidates) > 1:
        raise ArgumentError(what, f"be given, as several modules have {width} columns: {listing}", "None")
    if not candidates and not optional:
        raise ArgumentError("state_dict", f"hold a linear layer with {width} columns, the readout", "none")
    return next(iter(candidates), "")
