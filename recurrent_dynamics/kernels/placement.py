"""Two threads of a call on two processors: the second one does not wake where its caller runs.

This is done in calls with two threads, on any number of processors. Linux wakes a thread where it ran last. If that
processor is busy, it looks for an idle one in a few steps only, which on two processors may be none. Once both threads
had run on one processor, they did so in all calls that followed, one after the other, while the other processor was
idle: an LSTM of 64 units took 2.7 instead of 1.3 milliseconds. After a pause Linux may also wake the thread on the
processor of its caller, although it had run on the other one: it then began 320 instead of 55 microseconds late, after
every second pause of 3 milliseconds. So the second thread notes where it has run. If its caller runs there now, or if
the thread may have fallen asleep, it may not use the processor of its caller until it is awake.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from . import machine_code

WORDS = 16  # of a set of 1024 processors, as the C library has it
# Entries of the notes: the caller, the second thread, its processor, when the call ended, whether the thread was sent
# away, after how many nanoseconds it may be asleep, and all processors that it may use.
CALLER, THREAD, PROCESSOR, ENDED, AWAY, ASLEEP, ALLOWED = range(7)
notes = np.zeros(ALLOWED + WORDS, np.int64)
notes[ASLEEP] = 50_000  # it polls for 90 microseconds on Zen 4, see `threads.SPINS`, for less elsewhere

_NOTES = "placement.notes"
_SYMBOL = f"{machine_code.SYMBOL}{_NOTES}:"
_NEEDED = (
    "gettid",
    "pthread_self",
    "sched_getcpu",
    "sched_getaffinity",
    "sched_setaffinity",
    "clock_gettime",
)


def _has(names: tuple[str, ...]) -> bool:
    """Whether this is Linux and its C library has these functions. LLVM knows none before its first compilation."""
    if sys.platform != "linux":
        return False
    process = ctypes.CDLL(None)
    return all(hasattr(process, name) for name in names)


KNOWN = _has(_NEEDED)  # with a C library of 2019 or later

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_SIZE = _I64(8 * WORDS)


def _provide(_: str = "") -> None:
    llvm.add_symbol(_SYMBOL, notes.ctypes.data)


machine_code.provides(_NOTES, _provide)


def _after_fork() -> None:
    """Forget the threads of the parent, which go on there."""
    notes[:ASLEEP] = 0


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def _call(b: ir.IRBuilder, name: str, result: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), arguments)


def _here(b: ir.IRBuilder) -> Any:
    """The processor of this thread; below 0 if the system does not say."""
    return b.sext(_call(b, "sched_getcpu", _I32), _I64)


def _now(b: ir.IRBuilder) -> Any:
    """Nanoseconds of a clock that never goes back."""
    time = cgutils.alloca_once(b, ir.ArrayType(_I64, 2))
    seconds, rest = (b.gep(time, [_I64(0), _I64(n)]) for n in (0, 1))
    monotonic = _I32(1)
    _call(b, "clock_gettime", _I32, monotonic, seconds)
    return b.add(b.mul(b.load(seconds), _I64(1_000_000_000)), b.load(rest))


def _set(b: ir.IRBuilder, what: str, thread: Any, allowed: Any) -> Any:
    """Whether the system reads or writes ("get", "set") the processors that a thread may use."""
    done = _call(b, f"sched_{what}affinity", _I32, b.trunc(thread, _I32), _SIZE, allowed)
    return b.icmp_signed("==", done, _I32(0))


def _entries(b: ir.IRBuilder, start: Any) -> Any:
    """Pointers to the entries of the notes, by their numbers."""
    array = b.inttoptr(start, _I64.as_pointer())
    return lambda entry: b.gep(array, [_I64(entry)])


@contextmanager
def _noted(b: ir.IRBuilder, start: Any) -> Iterator[Any]:
    """What is written while entered is done where there are notes; yields pointers to their entries."""
    with b.if_then(b.icmp_signed("!=", start, _I64(0))):
        yield _entries(b, start)


def keep_apart(b: ir.IRBuilder, threads: Any) -> Any:
    """Write what comes before `threads` start; returns the address of the notes, or 0 unless it is two threads."""
    found = cgutils.alloca_once_value(b, _I64(0))
    if not KNOWN:
        return b.load(found)
    _provide()
    symbol = cgutils.get_or_insert_function(b.module, ir.FunctionType(ir.VoidType(), []), _SYMBOL)
    with b.if_then(b.icmp_signed("==", threads, _I64(2))):
        start = b.ptrtoint(symbol, _I64)
        b.store(start, found)
        at = _entries(b, start)
        caller, here = _call(b, "pthread_self", _I64), _here(b)
        known = b.icmp_signed("==", b.load(at(CALLER)), caller)
        known = b.and_(known, b.icmp_signed("!=", b.load(at(THREAD)), _I64(0)))
        same = b.icmp_signed("==", b.load(at(PROCESSOR)), here)
        pause = b.sub(_now(b), b.load(at(ENDED)))
        late = b.or_(same, b.icmp_signed(">", pause, b.load(at(ASLEEP))))
        b.store(caller, at(CALLER))
        inside = b.icmp_unsigned("<", here, _I64(64 * WORDS))
        with b.if_then(b.and_(b.and_(known, late), inside), likely=False):
            thread = b.load(at(THREAD))
            with b.if_then(_set(b, "get", thread, at(ALLOWED))):
                others = cgutils.alloca_once(b, ir.ArrayType(_I64, WORDS))
                sets = b.bitcast(at(ALLOWED), others.type)
                b.store(b.load(sets), others)
                word = b.gep(others, [_I64(0), b.lshr(here, _I64(6))])
                bit = b.shl(_I64(1), b.and_(here, _I64(63)))
                b.store(b.and_(b.load(word), b.not_(bit)), word)
                # The system refuses an empty set: if there is no other processor, nothing changes.
                away = _set(b, "set", thread, b.gep(others, [_I64(0), _I64(0)]))
                b.store(b.zext(away, _I64), at(AWAY))
    return b.load(found)


def settle(b: ir.IRBuilder, start: Any) -> None:
    """Write what the second thread does at its beginning: who was sent away may use the same processors as before."""
    if not KNOWN:
        return
    with _noted(b, start) as at:
        other = b.icmp_signed("!=", b.load(at(CALLER)), _call(b, "pthread_self", _I64))
        away = b.icmp_signed("!=", b.load(at(AWAY)), _I64(0))
        with b.if_then(b.and_(other, away), likely=False):
            b.store(_I64(0), at(AWAY))
            # Of the thread that was sent away: some threading layers give the part to another one.
            _set(b, "set", b.load(at(THREAD)), at(ALLOWED))


def note(b: ir.IRBuilder, start: Any) -> None:
    """Write what the second thread does at its end: it notes where it runs."""
    if not KNOWN:
        return
    with _noted(b, start) as at:
        other = b.icmp_signed("!=", b.load(at(CALLER)), _call(b, "pthread_self", _I64))
        with b.if_then(other):  # some threading layers let the caller do both parts
            b.store(b.sext(_call(b, "gettid", _I32), _I64), at(THREAD))
            b.store(_here(b), at(PROCESSOR))


def restore(b: ir.IRBuilder, start: Any) -> None:
    """Write what the caller does when both threads have ended: as `settle`, if the second thread had no part.

    The caller notes the time.
    """
    if not KNOWN:
        return
    with _noted(b, start) as at:
        b.store(_now(b), at(ENDED))
        with b.if_then(b.icmp_signed("!=", b.load(at(AWAY)), _I64(0)), likely=False):
            b.store(_I64(0), at(AWAY))
            _set(b, "set", b.load(at(THREAD)), at(ALLOWED))
