"""Weights of PyTorch's recurrent layers: RNN, GRU and LSTM, stacked or not, LSTM also with a projection."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell, elman, gru, lstm, lstm_projected
from ..checks import ArgumentError, ArgumentTypeError, boolean, instance, one_of
from ..engine import check
from ..nn import Layer
from .torch_layers import put_together, taken_apart

Params = dict[str, NDArray[Any]]
HALF = ("torch.bfloat16", "torch.float16")
KEY = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?P<name>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)


def from_torch(
    state_dict: Mapping[str, Any], nonlinearity: str | None = None, prefix: str | None = None
) -> tuple[Cell, Params] | list[tuple[Cell, Params]] | tuple[Layer, dict[str, Any]]:
    """Cells and parameters from the state dict of a recurrent layer of PyTorch.

    Gates stand in the same order on both sides. PyTorch's two biases become one: b = bias_ih + bias_hh, but for the
    candidate n of the GRU, whose recurrent bias stays apart as b_h. The matrix of a projection becomes U_h.

    Parameters
    ----------
    state_dict : mapping or module
        Of `torch.nn.RNN`, `GRU`, `LSTM`, or their cells; tensors, or anything that NumPy takes for an array. The kind
        is told from the shapes. A module is asked for its `state_dict()`.
    nonlinearity : {"tanh", "relu"}, optional
        Of an RNN; it is not part of the weights. That of a module, else tanh.
    prefix : str, optional
        Reads only the keys that begin with it, such as "encoder.rnn.", and leaves the other modules of a model
        alone. Without it every key must belong to one recurrent layer, under any one prefix.

    Returns
    -------
    (cell, params), or for stacked layers a list of such pairs
        For two directions (layer, params): `recurrent_dynamics.nn.bidirectional`, a chain of them for stacked layers.
        Copies, in the dtype of the weights (float32 or float64); float16 and bfloat16 become float32. Without biases
        in PyTorch b is 0.

    Raises
    ------
    ValueError
        When a key is unknown or missing, or shapes do not fit.
    TypeError
        When an array is no floating-point array, or dtypes are mixed within a layer.

    Warns
    -----
    UserWarning
        A module reads arrays (B, T, N), batch first; `rd.forward` takes (T, B, N), time first.

    Examples
    --------
    >>> weights = {"weight_ih_l0": np.ones((12, 2)), "weight_hh_l0": np.ones((12, 3)),
    ...            "bias_ih_l0": np.ones(12), "bias_hh_l0": np.ones(12)}
    >>> cell, params = from_torch(weights)
    >>> cell.name, params["b"].shape, float(params["b"][0])
    ('lstm', (12,), 2.0)

    Two directions are a layer:

    >>> layer, params = from_torch(weights | {f"{name}_reverse": a for name, a in weights.items()})
    >>> y, pull = layer(params, np.ones((5, 4, 2)))
    >>> y.shape, list(params)
    ((5, 4, 6), ['forward', 'backward'])
    """
    if nonlinearity is None:
        nonlinearity = getattr(state_dict, "nonlinearity", "tanh")
    nonlinearity = one_of("nonlinearity", nonlinearity, ("tanh", "relu"))
    if prefix is not None:
        instance("prefix", prefix, str)
    directions = _directions(arrays_of(state_dict), prefix)
    sides = [
        [_read_layer(f"{i}{suffix}", arrays, nonlinearity) for i, arrays in enumerate(layers)]
        for suffix, layers in directions.items()
    ]
    for i in range(1, len(sides[0])):
        # U multiplies the output: it has as many columns as the layer's output is wide.
        writes = sum(pairs[i - 1][1]["U"].shape[1] for pairs in sides)
        for suffix, pairs in zip(directions, sides, strict=True):
            reads = pairs[i][1]["W"].shape[1]
            if reads != writes:
                raise ArgumentError(
                    f"weight_ih_l{i}{suffix}", f"have {writes} columns, as wide as the layer below", reads
                )
    if len(sides) > 1:
        return put_together(*sides)
    return sides[0] if len(sides[0]) > 1 else sides[0][0]


def to_torch(
    layers: tuple[Cell, Mapping[str, NDArray[Any]]]
    | Sequence[tuple[Cell, Mapping[str, NDArray[Any]]]]
    | tuple[Layer, Mapping[str, Any]],
    bias: bool = True,
) -> dict[str, NDArray[Any]]:
    """State dict of a recurrent layer of PyTorch, as arrays: what `from_torch` reads as the same layers.

    `bias_hh` is zero, but for the candidate of the GRU.

    Parameters
    ----------
    layers : pair or sequence of pairs
        (cell, params) of LSTM with or without a projection, GRU, or Elman with tanh or relu; all of one cell. Or one
        pair (layer, params) of `recurrent_dynamics.nn`: a recurrent layer, two directions, or a chain of those.
    bias : bool
        False for a module that was made with ``bias=False``; all biases must be 0 then.

    Returns
    -------
    dict
        Load it with ``module.load_state_dict({k: torch.tensor(v) for k, v in to_torch(...).items()})``.

    Raises
    ------
    ValueError
        When PyTorch has no such cell or layer, or a bias is not 0 with ``bias=False``.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.gru()
    >>> list(to_torch((cell, cell.init(input_size=2, hidden_size=3))))
    ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0']
    """
    if isinstance(layers, Cell):
        raise ArgumentTypeError(
            "layers", "be a pair (cell, params) or a list of pairs", "a cell: write to_torch((cell, params))"
        )
    sides: Sequence[Sequence[Any]]
    if not isinstance(layers, list | tuple) or not all(
        isinstance(part, Layer | Cell | Mapping) or (isinstance(part, list | tuple) and len(part) == 2)
        for part in layers
    ):
        raise ArgumentTypeError("layers", "be a pair (cell, params) or a list of pairs", f"{layers!r:.60}")
    bias = boolean("bias", bias)
    if layers and isinstance(layers, tuple) and isinstance(layers[0], Layer):
        sides = taken_apart(layers[0], layers[1])
    elif layers and isinstance(layers, tuple) and isinstance(layers[0], Cell):
        sides = [[layers]]
    else:
        sides = [list(layers)]
    pairs = [pair for side in sides for pair in side]
    if not pairs:
        raise ArgumentError("layers", "hold at least one pair (cell, params)", "none")
    # Cells are told by their equations: anyone may call a cell of his own "lstm".
    projected = lstm_projected(pairs[0][1]["U"].shape[1])
    known = {c.fingerprint for c in (lstm(), projected, gru(), elman("tanh"), elman("relu"))}
    kinds = {cell.fingerprint for cell, _ in pairs}
    if len(kinds) > 1:
        names = ", ".join(cell.name for cell, _ in pairs)
        raise ArgumentError("layers", "all have one cell, as in PyTorch", names)
    if not kinds <= known:
        raise ArgumentError("layers", "be LSTM, GRU, or Elman with tanh or relu", pairs[0][0].name)
    out: dict[str, NDArray[Any]] = {}
    for layer, directions in enumerate(zip(*sides, strict=True)):
        for suffix, (_, params) in zip(("", "_reverse"), directions, strict=False):
            out |= _written(params, f"{layer}{suffix}", bias)
    return out


def _written(params: Mapping[str, NDArray[Any]], layer: str, bias: bool) -> dict[str, NDArray[Any]]:
    """The entries of one layer in one direction."""
    bias_hh = np.zeros_like(params["b"])
    if "b_h" in params:
        bias_hh[-len(params["b_h"]) :] = params["b_h"]
    out = {f"weight_ih_l{layer}": params["W"].copy(), f"weight_hh_l{layer}": params["U"].copy()}
    if bias:
        out[f"bias_ih_l{layer}"] = params["b"].copy()
        out[f"bias_hh_l{layer}"] = bias_hh
    elif params["b"].any() or bias_hh.any():
        raise ArgumentError("bias", f"be True for layer {layer}, whose biases are not 0", "False")
    if "U_h" in params:
        out[f"weight_hr_l{layer}"] = params["U_h"].copy()
    return out


def _directions(
    state_dict: Mapping[str, Any], prefix: str | None
) -> dict[str, list[dict[str, NDArray[Any]]]]:
    """By the suffix of a direction the arrays of each layer, by PyTorch's name without layer number and prefix."""
    found: dict[str, dict[int, dict[str, NDArray[Any]]]] = {}
    prefixes: list[str] = []
    for key, value in state_dict.items():
        if prefix is not None and not key.startswith(prefix):
            continue
        match = KEY.fullmatch(key)
        if match is None:
            raise ArgumentError(
                "state_dict",
                "be of a recurrent layer, with names such as 'weight_ih_l0'",
                f"{key!r} (prefix= selects one module of a model)",
            )
        if match["prefix"] not in prefixes:
            prefixes.append(match["prefix"])
        layers = found.setdefault(match["reverse"] or "", {})
        layers.setdefault(int(match["layer"] or 0), {})[match["name"]] = as_array(key, value)
    if not found:
        raise ArgumentError("state_dict", f"hold a recurrent layer under the prefix {prefix or ''!r}", "none")
    if len(prefixes) > 1:
        listing = ", ".join(map(repr, prefixes))
        raise ArgumentError("state_dict", "hold one recurrent layer, or prefix= choose one", listing)
    for layers in found.values():
        if sorted(layers) != list(range(len(layers))):
            raise ArgumentError("state_dict", "hold layers 0, 1, ... without a gap", sorted(layers))
    counts = {suffix: len(found.get(suffix, {})) for suffix in ("", "_reverse")}
    if counts["_reverse"] not in (0, counts[""]):
        raise ArgumentError(
            "state_dict",
            "hold as many layers of one direction as of the other",
            f"{counts['']} and {counts['_reverse']}",
        )
    return {suffix: [found[suffix][i] for i in range(n)] for suffix, n in counts.items() if n}


def arrays_of(state_dict: Any) -> dict[str, Any]:
    """The entries of a state dict, or of that of a module."""
    if isinstance(state_dict, Mapping):
        return dict(state_dict)
    if not callable(getattr(state_dict, "state_dict", None)):
        raise ArgumentTypeError(
            "state_dict", "be a mapping or a module of PyTorch", type(state_dict).__name__
        )
    if getattr(state_dict, "batch_first", False):
        warnings.warn(
            "the module reads arrays (B, T, N), batch first; forward takes (T, B, N), time first: pass "
            "x.swapaxes(0, 1)",
            UserWarning,
            stacklevel=3,
        )
    return dict(state_dict.state_dict())


def as_array(key: str, value: Any) -> NDArray[Any]:
    """A copy of an entry in float32 or float64."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) in HALF:  # NumPy has no bfloat16
            value = value.float()
        value = value.numpy()
    array = np.array(check.array(f"state_dict[{key!r}]", value))
    if array.dtype.name in ("float16", "bfloat16"):
        array = array.astype(np.float32)
    if array.dtype not in (np.float32, np.float64):
        raise ArgumentTypeError(f"state_dict[{key!r}]", "be float32 or float64", array.dtype)
    return array


def _read_layer(layer: str, arrays: dict[str, NDArray[Any]], nonlinearity: str) -> tuple[Cell, Params]:
    for name in ("weight_ih", "weight_hh"):
        if name not in arrays or arrays[name].ndim != 2:
            came = f"shape {arrays[name].shape}" if name in arrays else "none"
            raise ArgumentError("state_dict", f"hold a matrix {name} for layer {layer}", came)
    W, U = arrays["weight_ih"], arrays["weight_hh"]
    rows, width = U.shape
    projection = arrays.get("weight_hr")
    hidden = width if projection is None else rows // 4
    gates = rows // hidden if hidden else 0
    if projection is not None and (rows != 4 * hidden or projection.shape != (width, hidden)):
        raise ArgumentError(
            f"weight_hh and weight_hr of layer {layer}",
            "have shapes (4H, P) and (P, H), an LSTM with a projection",
            f"{U.shape} and {projection.shape}",
        )
    if gates not in (1, 3, 4) or rows != gates * hidden or len(W) != rows:
        raise ArgumentError(
            f"weight_ih and weight_hh of layer {layer}",
            "have H, 3H or 4H rows (RNN, GRU, LSTM), and weight_hh H columns",
            f"{W.shape} and {U.shape}",
        )
    present = [n for n in ("bias_ih", "bias_hh") if n in arrays]
    if len(present) == 1:
        raise ArgumentError("state_dict", f"hold both biases of layer {layer} or none", f"{present[0]} alone")
    bias_ih, bias_hh = (arrays.get(n, np.zeros(rows, U.dtype)) for n in ("bias_ih", "bias_hh"))
    for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        if bias.shape != (rows,):
            raise ArgumentError(f"{name} of layer {layer}", f"have shape ({rows},)", bias.shape)
    dtypes = {a.dtype.name for a in (W, U, bias_ih, bias_hh, U if projection is None else projection)}
    if len(dtypes) > 1:
        raise ArgumentTypeError(f"layer {layer}", "have one dtype", " and ".join(sorted(dtypes)))
    params = {"W": W, "U": U, "b": bias_ih + bias_hh}
    if gates == 3:
        params["b"][2 * hidden :] = bias_ih[2 * hidden :]
        return gru(), params | {"b_h": bias_hh[2 * hidden :].copy()}
    if projection is not None:
        return lstm_projected(width), params | {"U_h": projection}
    return (lstm() if gates == 4 else elman(nonlinearity)), params
