"""A cell as a Numba type, and the functions of its step that engines call.

Engines are compiled once for each cell: the type of the cell carries the fingerprint of its equations and of this
library's source, so a compiled engine is found again on disk by the next process, and an edited cell or library is
compiled anew. The row functions are resolved by overload while an engine is compiled; only then is SymPy imported.
"""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import NativeValue, models, overload, register_model, typeof_impl, unbox

from ...cells import Cell
from ...equations.signatures import SIGNATURES
from .memory import CHECKED, INTERPRETED, OPTIONS, get, put


def _build_fingerprint() -> str:
    """Of all source that ends up in compiled code, and of what compiles it."""
    package = pathlib.Path(__file__).parents[2]
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {CHECKED}".encode())
    for folder in ("equations", "engine/cpu"):
        for path in sorted((package / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


BUILD = _build_fingerprint()


class CellType(types.Type):
    """The Numba type of one set of equations."""

    def __init__(self, name: str, fingerprint: str) -> None:
        self.cell_name, self.fingerprint = name, fingerprint
        super().__init__(name=f"Cell({name}, {fingerprint}, {BUILD})")

    @property
    def key(self) -> tuple[str, str, str]:
        return self.cell_name, self.fingerprint, BUILD


register_model(CellType)(models.OpaqueModel)


class Equations:
    """What compiled functions take in place of a cell."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self._numba_type_ = CellType(cell.name, cell.fingerprint)
        _LIVE[self._numba_type_.key] = cell


class Build:
    """What functions that no cell specialises take: its type carries the fingerprint of the library."""

    _numba_type_ = CellType("", "")


_LIVE: dict[tuple[str, str, str], Cell] = {}  # needed only while compiling
BUILT = Build()


@typeof_impl.register(Equations)
@typeof_impl.register(Build)
def _typeof(value: Any, context: Any) -> CellType:
    return value._numba_type_


@unbox(CellType)
def _unbox(typ: Any, value: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


_GENERATED: dict[tuple[Any, str], Callable[..., None]] = {}


def row_function(cell: Cell, verb: str, namespace: dict[str, Any]) -> Callable[..., None]:
    """The function of one verb of a cell, with the given `get`, `put`, `range` and nonlinearities."""
    from ...equations.derive import Derivation
    from ...equations.source import source

    text = source(Derivation(cell), verb)
    scope = dict(namespace)
    exec(compile(text, f"<{verb} of {cell.name}>", "exec"), scope)
    return scope[verb]


def _compiled(key: tuple[str, str, str], verb: str) -> Callable[..., None]:
    if (key, verb) not in _GENERATED:
        from .scalars import COMPILED

        _GENERATED[key, verb] = row_function(_LIVE[key], verb, {"get": get, "put": put, **COMPILED})
    return _GENERATED[key, verb]


def interpreted(cell: Cell, verb: str) -> Callable[..., None]:
    """The row function on NumPy vectors: one pass of its loop takes all units at once."""
    key = (cell.fingerprint, verb)
    if key not in _GENERATED:
        from ...equations.nonlinearities import NONLINEARITIES

        def get_(array: np.ndarray, index: Any) -> Any:
            return array[index]

        def put_(array: np.ndarray, index: Any, value: Any) -> None:
            array[index] = value

        namespace = {"get": get_, "put": put_, "range": lambda n: (np.arange(n),), **NONLINEARITIES}
        _GENERATED[key] = row_function(cell, verb, namespace)
    return _GENERATED[key]


def _declare(verb: str) -> Callable[..., None]:
    """The function that engines call; the overload puts the generated row function of the cell in its place."""
    arguments = f"cell, stage, sizes, {SIGNATURES[verb]}"
    scope: dict[str, Any] = {"interpreted": interpreted, "compiled": _compiled}
    exec(
        f"def stub({arguments}):\n    interpreted(cell.cell, {verb!r})({arguments})\n"
        f"def resolve({arguments}):\n    return compiled(cell.key, {verb!r})\n",
        scope,
    )
    if not INTERPRETED:
        overload(scope["stub"], jit_options=OPTIONS)(scope["resolve"])
    return scope["stub"]


row_forward = _declare("forward")
row_adjoint = _declare("adjoint")
row_tangent = _declare("tangent")
row_second = _declare("second")
row_jacobian = _declare("jacobian")
