"""Numba in a process that only compiles, without what no kernel needs: it takes a tenth less time.

What it compiles is the same.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


def leave_out() -> None:
    """To be called in a process that only compiles, before Numba is imported."""
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]  # Numba loads it for functions that no kernel calls
    from numba.core import base, event, types
    from numba.core.typing.npydecl import NumpyRulesArrayOperator

    # The time of each call of LLVM, which nobody asks for.
    event.start_event = event.end_event = lambda *_, **__: None
    # Whether a function takes `loc`: looked up in its signature each time that it is called.
    base._has_loc = cache(base._has_loc)

    # The loop of a ufunc is looked for also where an operator has no array, and is then not used.
    of_arrays = NumpyRulesArrayOperator.generic

    def generic(template: Any, args: Any, kws: Any) -> Any:
        found = any(isinstance(kind, types.ArrayCompatible) for kind in args)
        return of_arrays(template, args, kws) if found else None

    NumpyRulesArrayOperator.generic = generic
