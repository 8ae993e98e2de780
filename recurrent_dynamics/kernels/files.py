"""The files of a disk: which ones there are, by builds, and which ones go.

Only files and folders whose names a disk gives are looked at, so that nothing else is removed in a folder that a user
chose. Any of them may vanish at any moment, by the hand of another process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple, TypeVar

from . import entries, locks

Result = TypeVar("Result")

BUILDS = 4  # the number of builds that are kept


class File(NamedTuple):
    """A file of a disk: an entry, a temporary file or a lock file."""

    path: str
    build: str
    name: str
    size: int  # bytes
    time: float  # of the last change, for an entry that of the last use

    @property
    def is_entry(self) -> bool:
        return self.name.endswith(".bin")

    @property
    def is_lock(self) -> bool:
        return self.name.endswith(".lock")


class Build(NamedTuple):
    """The entries of one version of the kernels."""

    name: str
    files: int
    size: int  # bytes
    last_use: float  # seconds since the epoch, to the hour


def found(folder: str) -> list[File]:
    """All files of a disk."""
    return sorted(_files(folder))


def is_empty(folder: str) -> bool:
    """Whether a disk has no entries."""
    return not any(file.is_entry for file in _files(folder))


def by_build(files: Iterable[File]) -> tuple[Build, ...]:
    """The builds that have entries, the last used one first."""
    groups: dict[str, list[File]] = {}
    for file in files:
        if file.is_entry:
            groups.setdefault(file.build, []).append(file)
    builds = [
        Build(name, len(group), sum(file.size for file in group), max(file.time for file in group))
        for name, group in groups.items()
    ]
    return tuple(sorted(builds, key=lambda build: build.last_use, reverse=True))


def tidy(folder: str, written: str, build: str, limit: int) -> None:
    """Tidy up after an entry was written.

    Removed are files of killed processes, all but four builds after the first entry of a new one, and above the limit
    the least recently used entries, those of other builds first.
    """
    files = found(folder)
    for file in files:
        if not file.is_entry and time.time() - file.time > entries.HOUR:
            locks.remove_free(file.path) if file.is_lock else _remove(file.path)
    kept = [file for file in files if file.is_entry]
    if sum(file.build == build for file in kept) == 1:
        others = [other.name for other in by_build(kept) if other.name != build]
        old = others[BUILDS - 1 :]
        kept = [file for file in kept if file.build not in old or not _remove(file.path)]
    excess = sum(file.size for file in kept) - limit
    for file in sorted(kept, key=lambda file: (file.build == build, file.time)):
        if excess > 0 and file.path != written and _remove(file.path):
            excess -= file.size
    _remove_empty(folder)


def clear(folder: str) -> int:
    """Remove all files of a disk, and return how many bytes they took; a claimed lock file stays.

    Raises
    ------
    OSError
        When a file cannot be removed; the others then are.
    """
    removed, failure = 0, None
    for file in found(folder):
        if file.is_lock:
            locks.remove_free(file.path)
            continue
        try:
            os.unlink(file.path)
            removed += file.size
        except FileNotFoundError:
            pass
        except OSError as error:
            failure = error
    _remove_empty(folder)
    if failure is not None:
        raise failure
    return removed


def in_folder_of(path: str, action: Callable[[], Result]) -> Result:
    """Act in the folder of a path, made if it is not there, and made again if another process clears the disk."""
    for _ in range(2):
        with suppress(FileNotFoundError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return action()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return action()


def write(path: str, content: bytes) -> None:
    """Write the file of an entry, and the folder of its build.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    in_folder_of(path, lambda: entries.write_whole(path, lambda file: file.write(content)))


def is_writable(folder: str) -> bool:
    """Whether files can be made in a folder, or the folder itself."""
    while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _builds(folder: str) -> list[str]:
    """The folders of builds. Links are left out: their targets belong to somebody else."""
    return [f.path for f in _listed(folder, entries.is_build) if f.is_dir(follow_symlinks=False)]


def _files(folder: str) -> Iterator[File]:
    for build in _builds(folder):
        for file in _listed(build, entries.is_file_of_a_disk):
            with suppress(FileNotFoundError):
                status = file.stat(follow_symlinks=False)
                yield File(file.path, os.path.basename(build), file.name, status.st_size, status.st_mtime)


def _listed(folder: str, is_wanted: Callable[[str], bool]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as inside:
            return [one for one in inside if is_wanted(one.name)]
    except OSError:
        return []


def _remove(path: str) -> bool:
    """Whether it is gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def _remove_empty(folder: str) -> None:
    for build in _builds(folder):
        with suppress(OSError):
            os.rmdir(build)
