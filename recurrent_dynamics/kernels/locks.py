"""Claims: lock files of which one process at a time holds each, until it lets go or ends, however it ends.

The system's lock on an open file is the claim, not the existence of the file. So nothing is left to wait for when a
process was killed. Claims belong to a process, not to a thread, and a forked child has none of its parent's.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from threading import RLock

if sys.platform == "win32":
    import msvcrt

    BUSY = PermissionError

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _let_go(handle: int, path: str) -> None:
        # An open file cannot be removed there: if the last line succeeds, nobody had the file open.
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        os.close(handle)
        with suppress(OSError):
            os.unlink(path)

else:
    import fcntl

    BUSY = BlockingIOError

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _let_go(handle: int, path: str) -> None:
        # Removed while it is locked: whoever opened it before finds out by `_is_at` that it is gone.
        with suppress(OSError):
            os.unlink(path)
        # Closing alone would not unlock: a child that another library forks may have the file open too.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


TRIES = 100  # to lock a file that others remove between its opening and its locking
_claims: dict[str, int] = {}  # handles of lock files, by path
_guard = RLock()


def try_claim(path: str) -> bool:
    """Claim a lock file without waiting: True if this process has it now, or had it before.

    Raises
    ------
    OSError
        When the file cannot be made, or the file system has no locks.
    """
    with _guard:
        for _ in range(TRIES):
            if path in _claims:
                return True
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(handle)
                if _is_at(handle, path):
                    _claims[path] = handle
                    return True
            except BUSY:
                return False
            except OSError:  # no locks there, so the file is of no use
                with suppress(OSError):
                    os.unlink(path)
                raise
            finally:
                if path not in _claims:
                    os.close(handle)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), path)


def release(path: str) -> None:
    """Give a claim up and remove its file; nothing happens if this process does not have it."""
    with _guard:
        handle = _claims.pop(path, None)
        if handle is not None:
            _let_go(handle, path)


def remove_free(path: str) -> None:
    """Remove a lock file that no process has claimed."""
    with _guard, suppress(OSError):
        if path not in _claims and try_claim(path):
            release(path)


def claimed(path: str | None = None) -> bool:
    """Whether this process has this claim, or any."""
    return bool(_claims) if path is None else path in _claims


def _is_at(handle: int, path: str) -> bool:
    """Whether the open file still is the one under the path: its last owner removes it."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _after_fork() -> None:
    """In a new process: close the parent's lock files, which leaves them locked for the parent."""
    for handle in _claims.values():
        os.close(handle)
    _claims.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    # A fork waits until no thread is between opening a lock file and noting it: the child could not close it.
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_after_fork)
