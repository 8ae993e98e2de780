"""A cell as a Numba type, and the functions of its step that engines call.

Engines are compiled once for each cell: the type of the cell carries the fingerprint of its equations and of this
library's source, so a compiled engine is found again on disk by the next process, and an edited cell or library is
compiled anew. The row functions are resolved by overload while an engine is compiled; only then is SymPy imported.
"""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import NativeValue, models, overload, register_model, typeof_impl, unbox

from ...cells import Cell
from ...equations.signatures import SIGNATURES
from .memory import CHECKED, INTERPRETED, OPTIONS, stream_access
from .microkernel import BYTES


def _build_fingerprint() -> str:
    """Of all source that ends up in compiled code, and of what compiles it."""
    package = pathlib.Path(__file__).parents[2]
    versions = f"{numba.__version__} {np.__version__} {version('sympy')}"  # without importing SymPy
    digest = hashlib.sha256(f"{versions} {CHECKED} {BYTES}".encode())
    for folder in ("equations", "engine/cpu", "engine/frames"):
        for path in sorted((package / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


BUILD = _build_fingerprint()


class CellType(types.Type):
    """The Numba type of one set of equations."""

    build = ""  # of a type that was written to the disk before types kept it

    def __init__(self, name: str, fingerprint: str) -> None:
        # Kept, as a type that is read back from the disk must not pass for one of this build.
        self.cell_name, self.fingerprint, self.build = name, fingerprint, BUILD
        super().__init__(name=f"Cell({name}, {fingerprint}, {BUILD})")

    @property
    def key(self) -> tuple[str, str, str]:
        return self.cell_name, self.fingerprint, self.build


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


_GENERATED: dict[tuple[str, str, bool], Callable[..., None]] = {}


def row_function(cell: Cell, verb: str, compiled: bool) -> Callable[..., None]:
    """The function of one verb of a cell: for Numba, or on NumPy vectors, where one pass takes all units at once."""
    key = (cell.fingerprint, verb, compiled)
    if key not in _GENERATED:
        from ...equations.derive import Derivation
        from ...equations.source import source

        generated = source(Derivation(cell, compact=True), verb, part=verb == "forward")
        namespace = _compiled_namespace(generated.streams) if compiled else _numpy_namespace()
        exec(compile(generated.text, f"<{verb} of {cell.name}>", "exec"), namespace)
        _GENERATED[key] = namespace[verb]
    return _GENERATED[key]


def _compiled_namespace(streams: tuple[str, ...]) -> dict[str, Any]:
    from .scalars import COMPILED

    get, put = stream_access(streams)
    return {"get": get, "put": put, **COMPILED}


def _numpy_namespace() -> dict[str, Any]:
    from ...equations.nonlinearities import NONLINEARITIES

    def get(array: np.ndarray, index: Any, stream: int) -> Any:
        return array[index]

    def put(array: np.ndarray, index: Any, value: Any, stream: int) -> None:
        array[index] = value

    return {"get": get, "put": put, "range": lambda first, end: (np.arange(first, end),), **NONLINEARITIES}


def _declare(verb: str) -> Callable[..., None]:
    """The function that engines call; the overload puts the generated row function of the cell in its place."""
    arguments = f"cell, stage, sizes, {SIGNATURES[verb]}"
    scope: dict[str, Any] = {"row_function": row_function, "live": _LIVE}
    exec(
        f"def stub({arguments}):\n    row_function(cell.cell, {verb!r}, False)({arguments})\n"
        f"def resolve({arguments}):\n    return row_function(live[cell.key], {verb!r}, True)\n",
        scope,
    )
    if not INTERPRETED:
        overload(scope["stub"], jit_options={**OPTIONS, "forceinline": True})(scope["resolve"])
    return scope["stub"]


row_forward = _declare("forward")
row_adjoint = _declare("adjoint")
row_tangent = _declare("tangent")
row_second = _declare("second")
row_jacobian = _declare("jacobian")
