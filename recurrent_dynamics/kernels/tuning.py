"""Thresholds by which Python code plans a call: how many threads, which kernel, how much at a time.

A planner reads them with `current`. Compiled code never does: a kernel has constants of its own or takes an argument.
No threshold changes a result beyond rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

MB = 1 << 20


class Tuning(NamedTuple):
    """The thresholds of the planners, with the values that were measured to be best.

    Attributes
    ----------
    min_parallel_flops
        Operations above which a call runs on all threads. Beside other busy processes a second thread may start
        milliseconds late, for a gain of ten microseconds: a branch of fixed points took 100 times as long.
    min_parallel_matrix_flops
        The same for each of the many products that build a parametrized matrix.
    min_parallel_packing
        Entries of matrices from which all threads pack them: half the time from 128 units on.
    min_compiled_copy
        Entries from which a kernel copies and checks an array. NumPy takes less time than a kernel to start below.
    min_compiled_update
        Entries of all parameters from which an optimizer's update is a kernel; fewer are not worth a compilation.
    min_pooled_bytes
        Bytes of an array from which its memory is kept for the next call. The C library keeps smaller ones.
    min_worker_bytes
        Bytes of matrices for each thread that shares the units of a step: with less, the barriers cost more than the
        split gains.
    window_rows
        Rows, those of some steps, that a thread of a run without a tape holds: they stay in its second cache.
    max_kept_window
        Bytes of the memory of a run without a tape up to which the next call with the same sizes finds it again.
    gradient_groups, min_group_instances
        Groups of instances with sums of gradients of their own, one for each of two threads, and the fewest instances
        of a group: those that read one panel of a matrix at a time.
    max_grouped_bytes
        Bytes of gradients up to which groups of instances have sums of their own. It was faster up to the 2 MB of
        an LSTM of 256 units. With the 8 MB of 512 units it was not, and it took 16 MB more memory.
    min_piece_bytes, min_piece_bytes_ungrouped, min_piece_flops
        A piece of the backward pass has so many bytes of cotangents, with two groups of instances and with one, and so
        many operations: those of a millisecond, because each piece costs 50 microseconds. With one group all threads
        read the cotangents of all threads. Pieces are then larger than the second cache: two cores take 1 percent less
        time, and 2 to 5 percent where transfers between them are slow. A piece of a cell with a memory has as many
        bytes as the gradient by the memory, up to those of one group: an attention decoder takes 3 percent less time.
    jacobian_bytes
        Bytes of Jacobians that an analysis holds at a time.
    bfloat16_piece_bytes, bfloat16_piece_steps
        On a GPU, a run whose values are kept as bfloat16 is computed for so many bytes of values at a time, what its
        L2 cache holds, but at least for so many steps, as each piece is a launch.
    compile_wait, compile_wait_with_claims
        Seconds to wait for another process that compiles the same code; fewer for a process that compiles something
        that others wait for.
    silent_compilation
        Seconds of compilation in a process before a message says so.
    """

    min_parallel_flops: float = 4e6
    min_parallel_matrix_flops: float = 8e6
    min_parallel_packing: int = 1 << 16
    min_compiled_copy: int = 1 << 14
    min_compiled_update: int = 1 << 14
    min_pooled_bytes: int = 16 * MB
    min_worker_bytes: int = 1 << 16
    window_rows: int = 96
    max_kept_window: int = 1 * MB
    gradient_groups: int = 2
    min_group_instances: int = 4
    max_grouped_bytes: int = 4 * MB
    min_piece_bytes: int = 1 * MB
    min_piece_bytes_ungrouped: int = 8 * MB
    min_piece_flops: float = 4e8
    jacobian_bytes: int = 32 * MB
    bfloat16_piece_bytes: int = 16 * MB
    bfloat16_piece_steps: int = 32
    compile_wait: float = 15 * 60.0
    compile_wait_with_claims: float = 60.0
    silent_compilation: float = 1.0


DEFAULT = Tuning()
_current: ContextVar[Tuning] = ContextVar("recurrent_dynamics.tuning", default=DEFAULT)
current = _current.get  # 30 nanoseconds


@contextmanager
def tuning(**changes: Any) -> Iterator[Tuning]:
    """Within it, other thresholds: in this thread, or in what a copy of its context runs.

    Examples
    --------
    >>> with tuning(min_parallel_flops=0):
    ...     current().min_parallel_flops
    0
    >>> current().min_parallel_flops
    4000000.0
    """
    token = _current.set(_current.get()._replace(**changes))
    try:
        yield _current.get()
    finally:
        _current.reset(token)
