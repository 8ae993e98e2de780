"""Flat arrays that compiled code makes: new ones, and views of memory at an address.

NumPy's functions do the same. Numba compiles each of them as functions of its own, three for one `np.empty`. Here no
size may be below 0, which nothing checks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .access import INTERPRETED, start_and_size


def _bytes_of_one(context: Any, kind: Any) -> Any:
    return context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))


def flat_array(context: Any, builder: Any, kind: Any, start: Any, size: Any, owner: Any = None) -> Any:
    """The LLVM value of an array of `size` entries from the pointer `start` on; without an owner it is a view."""
    made = context.make_array(kind)(context, builder)
    item = _bytes_of_one(context, kind)
    populate_array(made, data=start, shape=[size], strides=[item], itemsize=item, meminfo=owner)
    return made._getvalue()


def _constructor(cleared: bool) -> Any:
    """`empty` or, `cleared`, `zeros`."""

    @intrinsic
    def new(typingctx, size, dtype):
        """A new array of `size` entries; `dtype` is that of an array, or a class such as np.int64."""
        kind = types.Array(dtype.dtype, 1, "C")

        def codegen(context, builder, signature, arguments):
            size = arguments[0]
            bytes_ = builder.mul(size, _bytes_of_one(context, kind))
            alignment = context.get_constant(types.uint32, context.get_preferred_array_alignment(kind.dtype))
            owner = context.nrt.meminfo_alloc_aligned(builder, bytes_, alignment)
            data = context.nrt.meminfo_data(builder, owner)
            if cleared:
                cgutils.memset(builder, data, bytes_, 0)
            start = builder.bitcast(data, context.get_data_type(kind.dtype).as_pointer())
            return flat_array(context, builder, kind, start, size, owner)

        return kind(types.int64, dtype), codegen

    return new


empty, zeros = (np.empty, np.zeros) if INTERPRETED else map(_constructor, (False, True))

if INTERPRETED:

    def part(array: np.ndarray, at: int, size: int) -> np.ndarray:
        return array[at : at + size]

    def flattened(table: np.ndarray) -> np.ndarray:
        return table.reshape(-1)

    def table_of(array: np.ndarray, columns: int) -> np.ndarray:
        return array.reshape(-1, columns)

else:

    @intrinsic
    def part(typingctx, array, at, size):
        """array[at : at + size] as a view without an owner: the array must outlive it."""
        kind = types.Array(array.dtype, 1, "C")

        def codegen(context, builder, signature, arguments):
            start, _ = start_and_size(context, builder, signature.args[0], arguments[0])
            return flat_array(context, builder, kind, builder.gep(start, [arguments[1]]), arguments[2])

        return kind(array, types.int64, types.int64), codegen

    @intrinsic
    def flattened(typingctx, table):
        """All entries of a table, row by row, as a view without an owner."""
        kind = types.Array(table.dtype, 1, "C")

        def codegen(context, builder, signature, arguments):
            return flat_array(context, builder, kind, *start_and_size(context, builder, table, arguments[0]))

        return kind(table), codegen

    @intrinsic
    def table_of(typingctx, array, columns):
        """A flat array as a table of so many columns, as a view without an owner."""
        kind = types.Array(array.dtype, 2, "C")

        def codegen(context, builder, signature, arguments):
            start, size = start_and_size(context, builder, signature.args[0], arguments[0])
            columns, item = arguments[1], _bytes_of_one(context, kind)
            made = context.make_array(kind)(context, builder)
            populate_array(
                made, data=start, shape=[builder.sdiv(size, columns), columns],
                strides=[builder.mul(columns, item), item], itemsize=item, meminfo=None,
            )  # fmt: skip
            return made._getvalue()

        return kind(array, types.int64), codegen


@intrinsic
def array_of(typingctx, start, size):
    """The entries behind a pointer."""
    kind = types.Array(start.dtype, 1, "C")

    def codegen(context, builder, signature, arguments):
        return flat_array(context, builder, kind, *arguments)

    return kind(start, types.int64), codegen


@intrinsic
def array_at(typingctx, address, size, like):
    """The entries at an address, of the dtype of another array."""
    kind = types.Array(like.dtype, 1, "C")

    def codegen(context, builder, signature, arguments):
        start = builder.inttoptr(arguments[0], context.get_data_type(like.dtype).as_pointer())
        return flat_array(context, builder, kind, start, arguments[1])

    return kind(types.int64, types.int64, like), codegen
