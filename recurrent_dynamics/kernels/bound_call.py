"""Calls of a kernel whose arguments were given before, all but the addresses of a few arrays.

Numba's dispatcher reads the types and the fields of all arguments at each call. With 38 arguments that took 3 of the 7
microseconds that a short run takes beside its steps. After a pause of some milliseconds, when the caches are cold,
everything takes six times as long.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .access import INTERPRETED, LIGHT_ENTRY, start_and_size
from .parallel import FAILED, FIRST, FUNCTION, HEAD, PLACE, THREADS, kernel

if not INTERPRETED:
    from .parallel import call_task


@intrinsic
def _call(typingctx, place, first, second, third):
    """Write the addresses of three arrays to the task of a place, and call its function."""

    def codegen(context, builder, signature, arguments):
        i64 = ir.IntType(64)
        words, _ = start_and_size(context, builder, signature.args[0], arguments[0])

        def word(n):
            return builder.load(builder.gep(words, [i64(n)]))

        task = builder.gep(words, [i64(HEAD)])
        start = builder.ptrtoint(task, i64)
        for n, (kind, array) in enumerate(zip(signature.args[1:], arguments[1:], strict=True)):
            where = builder.inttoptr(builder.add(start, word(FIRST + n)), i64.as_pointer())
            builder.store(builder.ptrtoint(start_and_size(context, builder, kind, array)[0], i64), where)
        failed = builder.inttoptr(builder.add(start, word(FAILED)), ir.IntType(32).as_pointer())
        call_task(context, builder, word(FUNCTION), start, word(THREADS), failed)
        return context.get_dummy_value()

    return types.void(place, first, second, third), codegen


@kernel(options=LIGHT_ENTRY)
def run(place, checksums, first, second, third):
    """Call the kernel that is bound to a place, with three arrays. The sum of the checksums that it wrote."""
    _call(place, first, second, third)
    total = 0.0
    for i in range(checksums.size):
        total += checksums[i]
    return total


class BoundCall:
    """A call of a kernel with three varying arguments; it returns the sum of the checksums that the kernel wrote.

    `arguments` are those after the number of threads, the varying ones too. Each call brings these anew, contiguous and
    of the same sizes and types. The first two have three axes and the third one has two: each further choice would be
    another kernel. One call at a time.
    """

    def __init__(self, kernel: Any, threads: int, arguments: Sequence[Any], checksums: np.ndarray) -> None:
        function: Any = kernel if INTERPRETED else kernel.py_func
        self._kernel, self._threads, self._varying = kernel, threads, function.varying
        _, *names, _ = inspect.signature(function).parameters  # without the number of threads and the place
        given = dict(zip(names, arguments, strict=True))
        # The place has their addresses, so they have to live. Those that vary may be large, and are given back.
        self._given = {name: given[name] for name in names if name not in self._varying}
        self._checksums, self._place = checksums, np.zeros(PLACE, np.int64)
        if not INTERPRETED:
            kernel(threads, *arguments, self._place)

    def __call__(self, *varying: np.ndarray) -> float:
        if not INTERPRETED:
            return float(run(self._place, self._checksums, *varying))
        brought = {name: array.reshape(-1) for name, array in zip(self._varying, varying, strict=True)}
        self._kernel(self._threads, **self._given, **brought, place=self._place[:0])
        return float(self._checksums.sum())
