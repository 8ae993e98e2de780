"""Compiled code that the next process finds: payloads under keys, in a folder for as many processes as there are.

An entry is one file, ``<folder>/<build>/<hash of the key>.bin``, that is there whole or not at all. A build is a
version of the library's kernels: entries of another build are never read, and removed in the end. Where several
processes want an entry that is not there yet, one claims its key and compiles, and the others wait for it.

Nothing here keeps a program from running. What cannot be read is absent, and when nothing can be written there is one
warning in a process. Payloads are machine code: whoever can write to the folder decides what its readers execute.

A process that finds all its entries imports this module and `entries`: the others are imported where they are used.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from . import entries
from .tuning import current

if TYPE_CHECKING:
    from pathlib import Path

    from .archive import Moved
    from .files import Build

FOLDER = "RECURRENT_DYNAMICS_CACHE_DIR"
MEGABYTES = "RECURRENT_DYNAMICS_CACHE_MB"
LIMIT = 256_000_000  # bytes
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.05  # seconds between two looks at another's claim

_failures = itertools.count()  # of the process; the first one warns


class Info(NamedTuple):
    """The content of a disk."""

    folder: Path | None
    writable: bool
    builds: tuple[Build, ...]  # the last used one first

    @property
    def files(self) -> int:
        return sum(build.files for build in self.builds)

    @property
    def size(self) -> int:
        return sum(build.size for build in self.builds)


class Disk:
    """Payloads under keys on the disk, for any number of threads and processes.

    Parameters
    ----------
    folder : path-like, optional
        Made when the first entry is written. Nothing is kept if None.
    limit : int
        Bytes that are kept, about. The least recently used entries go first; 0 keeps nothing.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     disk = Disk(folder)
    ...     if disk.load_or_claim("tanh float64", "1f") is None:
    ...         disk.store("tanh float64", "1f", b"compiled")
    ...     disk.load("tanh float64", "1f")
    b'compiled'
    """

    def __init__(self, folder: str | os.PathLike[str] | None, limit: int = LIMIT) -> None:
        self._folder = None if folder is None else os.path.abspath(folder)
        self.limit = limit

    def load(self, key: str, build: str) -> bytes | None:
        """The payload of a key.

        Parameters
        ----------
        key : str
            Whatever the payload depends on.
        build : str
            Version of the kernels: at most 64 hexadecimal digits in lower case.

        Returns
        -------
        bytes or None
            None if it is not there, or damaged, or cannot be read.

        Raises
        ------
        ValueError
            When the build is no such string.
        """
        path = self._path(key, build)
        if path is None:
            return None
        try:
            with open(path, "rb", buffering=0) as file:
                content = file.read()
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        entry = entries.unpack(content)
        if entry is None or entry[0] != key:
            return None
        if age > entries.HOUR:
            with suppress(OSError):  # a folder that can only be read serves too
                os.utime(path)
        return entry[1]

    def load_or_claim(self, key: str, build: str) -> bytes | None:
        """The payload of a key, or the claim to make it.

        A process that gets the claim compiles, then calls `store`, or `release` if that failed. Other processes that
        ask meanwhile wait for it. A claim belongs to the process: its other threads get None at once, because they may
        hold a lock that the compiling thread waits for. They compile a second time, and each thread stores its payload.

        Parameters
        ----------
        key, build
            As for `load`.

        Returns
        -------
        bytes or None
            None if the caller must compile: with the claim, or without one where the folder cannot be written, has no
            locks, or another process has been compiling for `Tuning.compile_wait` seconds.

        Raises
        ------
        ValueError
            When the build is not a string of hexadecimal digits.
        """
        path = self._path(key, build)
        payload = self.load(key, build)
        if path is None or payload is not None:
            return payload
        from . import files, locks

        lock = f"{path}.lock"
        # Two processes that wait for each other's claims go on after the shorter time: both compile.
        wait = current().compile_wait_with_claims if locks.claimed() else current().compile_wait
        deadline = time.monotonic() + wait
        pause = SHORTEST_PAUSE
        while True:
            try:
                is_ours = files.in_folder_of(lock, lambda: locks.try_claim(lock))
            except OSError:  # `store` will say so
                return None
            # After the attempt: if its owner has let go, the payload is there.
            payload = self.load(key, build)
            if payload is not None and is_ours:
                locks.release(lock)
            if payload is not None or is_ours or time.monotonic() > deadline:
                return payload
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def store(self, key: str, build: str, payload: bytes) -> None:
        """Write the payload of a key, atomically, and give up the claim if this process has it.

        The first failure in a process to write is a RuntimeWarning, later ones are silent.

        Parameters
        ----------
        key, build
            As for `load`.
        payload : bytes

        Raises
        ------
        ValueError
            When the build is not a string of hexadecimal digits.
        """
        from . import files, locks

        path = self._path(key, build)
        if path is None or self._folder is None:
            return
        failure: str | None = None
        try:
            files.write(path, entries.pack(key, payload))
        except OSError as error:
            failure = error.strerror or str(error)
        finally:
            locks.release(f"{path}.lock")
        if failure is None:
            files.tidy(self._folder, path, build, self.limit)
        elif self.load(key, build) is None:  # another process may have written it
            _warn(f"cannot write to {self._folder} ({failure})")

    def release(self, key: str, build: str) -> None:
        """Give up the claim of a key that could not be compiled; harmless if this process does not have it."""
        from . import locks

        path = self._path(key, build)
        if path is not None:
            locks.release(f"{path}.lock")

    def can_store(self) -> bool:
        """Whether entries are kept: there is a folder that can be written, and a limit above 0."""
        from . import files

        return self._folder is not None and self.limit > 0 and files.is_writable(self._folder)

    def is_empty(self) -> bool:
        """Whether there is no entry, of no build."""
        from . import files

        return self._folder is None or files.is_empty(self._folder)

    @property
    def folder(self) -> str | None:
        """Where the entries are; None if nowhere."""
        return self._folder

    def info(self) -> Info:
        """The entries by builds, and whether the folder can be written."""
        from pathlib import Path

        from . import files

        if self._folder is None:
            return Info(None, False, ())
        builds = files.by_build(files.found(self._folder))
        return Info(Path(self._folder), files.is_writable(self._folder), builds)

    def clear(self) -> int:
        """Remove all entries, and return how many bytes they took.

        Raises
        ------
        OSError
            When a file cannot be removed; the others then are.
        """
        from . import files

        return 0 if self._folder is None else files.clear(self._folder)

    def export(self, path: str | os.PathLike[str]) -> Moved:
        """Write all entries into one archive.

        Parameters
        ----------
        path : path-like
            Of the archive. An older file there is replaced.

        Raises
        ------
        OSError
            When it cannot be written.
        ValueError
            When this disk keeps nothing.
        """
        from . import archive

        return archive.export(self._kept_in(), path)

    def import_(self, path: str | os.PathLike[str]) -> Moved:
        """Add the entries of an archive; those that are there stay.

        An archive holds machine code that the engine will execute: import only what comes from a source you trust.
        The checksums detect damage, not malice.

        Parameters
        ----------
        path : path-like
            What `export` wrote.

        Raises
        ------
        OSError
            When the archive cannot be read or an entry cannot be written.
        ValueError
            When it is not such an archive, when one of its members has a wrong name or is damaged, of which nothing is
            then imported, or when this disk keeps nothing.
        """
        from . import archive

        return archive.import_(self._kept_in(), path)

    def _path(self, key: str, build: str) -> str | None:
        """Of an entry; None if nothing is kept."""
        if not entries.is_build(build):
            from ..checks import ArgumentError  # loads NumPy

            raise ArgumentError("build", "be 1 to 64 hexadecimal digits in lower case", repr(build))
        if self._folder is None or self.limit <= 0:
            return None
        return os.path.join(self._folder, build, entries.file_name(key))

    def _kept_in(self) -> str:
        if self._folder is None or self.limit <= 0:
            reason = "its limit is 0" if self._folder else f"set {FOLDER} to a folder that can be written"
            raise ValueError(f"this disk keeps no compiled code: {reason}")
        return self._folder


def default_folder() -> Path | None:
    """Where compiled code is kept unless a program says otherwise.

    It is ``$RECURRENT_DYNAMICS_CACHE_DIR``, or else ``recurrent_dynamics`` below ``$NUMBA_CACHE_DIR``, or else below
    the user's folder for caches.

    Returns
    -------
    Path or None
        None if the environment names no folder and the system no home.
    """
    from pathlib import Path

    given = os.environ.get(FOLDER)
    if given:
        return Path(os.path.expanduser(given))
    numba = os.environ.get("NUMBA_CACHE_DIR")
    if numba:
        return Path(numba, "recurrent_dynamics")
    caches = os.path.expanduser("~/.cache")
    if sys.platform == "darwin":
        caches = os.path.expanduser("~/Library/Caches")
    elif sys.platform == "win32":
        caches = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif os.path.isabs(os.environ.get("XDG_CACHE_HOME", "")):  # the specification ignores relative ones
        caches = os.environ["XDG_CACHE_HOME"]
    return Path(caches, "recurrent_dynamics") if os.path.isabs(caches) else None


def default_limit() -> int:
    """How many bytes of compiled code are kept: ``$RECURRENT_DYNAMICS_CACHE_MB``, 256 MB if it is not set.

    Raises
    ------
    ValueError
        When it is not a number of at least 0.
    """
    given = os.environ.get(MEGABYTES)
    if given is None:
        return LIMIT
    try:
        megabytes = float(given)
        if not 0 <= megabytes < float("inf"):
            raise ValueError
    except ValueError:
        raise ValueError(f"{MEGABYTES} must be a number of megabytes, at least 0; came {given!r}") from None
    return int(megabytes * 1e6)


@functools.cache
def default_disk() -> Disk:
    """The disk that all kernels share, as the environment says when it is first asked for.

    Raises
    ------
    ValueError
        When ``RECURRENT_DYNAMICS_CACHE_MB`` is not a number of at least 0.
    """
    folder, limit = default_folder(), default_limit()
    if folder is None and limit:
        _warn("the system knows no home folder")
    return Disk(folder, limit)


def _warn(reason: str) -> None:
    if next(_failures) == 0:
        warnings.warn(
            f"compiled code is not kept, so each process compiles it again: {reason}; "
            f"set {FOLDER} to a folder that can be written",
            RuntimeWarning,
            stacklevel=3,
        )
