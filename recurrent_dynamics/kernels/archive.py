"""Entries of a disk in one file, to take them to another machine: a zip whose members are files of entries."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from . import entries, files


class Moved(NamedTuple):
    """The entries that went into an archive or came out of it."""

    files: int
    size: int  # bytes
    present: int = 0  # entries of the archive that were there already


def export(folder: str, path: str | os.PathLike[str]) -> Moved:
    """Write all entries of a disk into an archive, which is written as a whole or not at all.

    Raises
    ------
    OSError
        With the path, when it cannot be written.
    """
    path = os.fspath(path)
    sizes = []

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for found in files.found(folder):
                content = _usable(found.path) if found.is_entry else None
                if content is not None:
                    # No time stamp: equal entries give equal archives.
                    name = zipfile.ZipInfo(f"{found.build}/{found.name}")
                    archive.writestr(name, content, zipfile.ZIP_DEFLATED)
                    sizes.append(len(content))
        file.flush()
        os.fsync(file.fileno())

    try:
        entries.write_whole(path, write)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write: {error.strerror}", path) from error
    return Moved(len(sizes), sum(sizes))


def import_(folder: str, path: str | os.PathLike[str]) -> Moved:
    """Add the entries of an archive to a disk; those that are there stay.

    Raises
    ------
    OSError
        When the archive cannot be read, or an entry cannot be written.
    ValueError
        When it is not such an archive, or a damaged one. Nothing is then imported.
    """
    for _ in _members(path):  # all are verified before the first one is written
        pass
    sizes = []
    present = 0
    for name, content in _members(path):
        place = os.path.join(folder, *name.split("/"))
        if _usable(place) is None:
            files.write(place, content)
            sizes.append(len(content))
        else:
            present += 1
    return Moved(len(sizes), sum(sizes), present)


def _members(path: str | os.PathLike[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each member, verified: the name, which cannot leave a folder, the key and the checksum."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except MemoryError:
            raise
        except Exception as error:  # damaged bytes raise almost anything: zipfile, struct, decoding
            raise ValueError(
                f"{path} must be an archive of compiled code; came another file or a damaged archive"
            ) from error
        with archive:
            for member in archive.infolist():
                yield member.filename, _content(archive, member, path)


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> bytes:
    build, _, file = member.filename.partition("/")
    if not entries.is_build(build) or not entries.is_entry(file):
        raise ValueError(
            f"{path} must be an archive of compiled code, with names like 1f/{'0' * 40}.bin; "
            f"came {member.filename!r}"
        )
    try:
        content = archive.read(member)
        entry = entries.unpack(content)
    except MemoryError:
        raise
    except Exception as error:  # as above, and zlib
        raise ValueError(f"{path}: {member.filename} in it is damaged") from error
    if entry is None or entries.file_name(entry[0]) != file:
        raise ValueError(f"{path}: {member.filename} in it is damaged, or no entry of this name and layout")
    return content


def _usable(path: str) -> bytes | None:
    """The content of an entry's file; None if there is none that a key could find."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError:
        return None
    entry = entries.unpack(content)
    return content if entry is not None and entries.file_name(entry[0]) == os.path.basename(path) else None
