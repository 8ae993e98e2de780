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

from .access import INTERPRETED


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
