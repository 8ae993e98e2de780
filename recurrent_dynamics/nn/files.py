"""Files that are there whole or not at all, and arrays with a description in one of them."""

from __future__ import annotations

import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError, callable_, pathlike

Result = TypeVar("Result")


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name beside its place, force it to disk, then rename it.

    Whoever reads the path sees the old file or the new one; after an error or a kill the old one stands.

    Parameters
    ----------
    path : path-like
    write : callable
        Gets the open binary file.

    Raises
    ------
    OSError
        With the path in its message, when the folder is missing or not writable, or the disk is full.
    """
    path = pathlike("path", path)
    callable_("write", write, "of an open file")
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise type(error)(error.errno, f"cannot write: {error.strerror}", str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(
            temporary, 0o666 & ~mask
        )  # a temporary file is private; the result has the usual permissions
        os.replace(temporary, path)
    except BaseException as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise type(error)(error.errno, f"cannot write: {error.strerror}", str(path)) from error
        raise
    _sync_folder(path.parent)


def write_described(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write arrays and what they are as one .npz, atomically, without pickle.

    Parameters
    ----------
    path : path-like
    kind : str
        What the file holds ("model"): the name under which the description stands among the arrays.
    version : int
        Of the layout; `read_described` refuses another one.
    description : mapping
        Anything that JSON can hold.
    arrays : mapping
        By name.

    Raises
    ------
    OSError
        When it cannot be written; an older file under the path then still stands.
    """
    described = np.array(json.dumps({**description, "format": version}))
    write_atomically(path, lambda file: _write_arrays(file, {**arrays, kind: described}))


def _write_arrays(file: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """As `np.savez`, whose argument `allow_pickle` came with NumPy 2.1: before, it was one more array of the file."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, a in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(a), allow_pickle=False)


# What else a file of the library may be, by the name of its description, and what reads it.
READERS = {
    "network": "rd.nn.load",
    "checkpoint": "rd.training.load_checkpoint",
    "model": "rd.study.load_model",
}


class FileError(ValueError):
    """What is wrong with a file: one line that names the field, before which the path is put."""


@dataclass(frozen=True)
class Header:
    """What a file says of an array before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def read_described(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    check: Callable[[dict[str, Header], dict[str, Any]], object],
    assemble: Callable[[dict[str, NDArray[Any]], dict[str, Any]], Result],
) -> Result:
    """Read what `write_described` wrote.

    The description and the headers of the arrays are read first and looked at. Memory is taken for the arrays only
    then, and never more than the file is large.

    Parameters
    ----------
    path : path-like
    kind, version
        As they were written.
    check : callable
        From the headers by name and the description; raises a `FileError` for what cannot be meant.
    assemble : callable
        From the arrays and the description to the result.

    Raises
    ------
    FileNotFoundError
        When there is none.
    OSError
        When it cannot be opened.
    ValueError
        When the file is not of this kind and version, or damaged, or refused by `check` or `assemble`. Whatever else
        these two raise says that the file is damaged.
    """
    path = pathlike("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no {kind} there")
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                members = _members(archive, path.stat().st_size)
                if kind not in members:
                    _say_what_it_is(kind, members)
                described = json.loads(str(_read_array(archive, members.pop(kind))))
                found = described.pop("format")
                if found == version and type(found) is int:
                    check({name: _header(archive, member) for name, member in members.items()}, described)
                    arrays = {name: _read_array(archive, member) for name, member in members.items()}
                    return assemble(arrays, described)
        except MemoryError:
            raise
        except (
            FileError,
            ArgumentError,
            ArgumentTypeError,
        ) as error:  # the latter of a model that is made again
            raise ValueError(f"{path}: {error}") from None
        except Exception as error:  # damaged bytes raise almost anything: zipfile, zlib, struct, NumPy, JSON
            raise ValueError(f"{path}: not a {kind}, or a damaged one") from error
    raise ArgumentError(str(path), f"be a {kind} of format {version}", f"format {found!r}")


def _say_what_it_is(kind: str, members: Mapping[str, object]) -> None:
    """Raise a `FileError` if a file is one of the library's other kinds."""
    for other, reader in READERS.items():
        if other in members:
            raise FileError(f"must hold a {kind}; came a {other}, which {reader} reads")


def has_member(path: str | os.PathLike[str], kind: str) -> bool:
    """Whether a file is one of `write_described` with a description under this name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{kind}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """By the name of the array, each once; none can be larger than the file, since none is compressed."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name, dot, ending = member.filename.rpartition(".")
        if not dot or ending != "npy" or name in members:
            raise FileError(
                f"each member must be an array of its own, such as 'W.npy'; came {member.filename!r}"
            )
        if member.compress_type != zipfile.ZIP_STORED:
            raise FileError(f"arrays must be stored as they are; {name!r} came compressed")
        if member.file_size != member.compress_size or member.file_size > size:
            raise FileError(
                f"array {name!r} must lie in the file of {size} bytes; came {member.file_size} bytes"
            )
        members[name] = member
    return members


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """The shape and dtype of an array, once it is sure that so many bytes are there."""
    with archive.open(member) as entry:
        major, _ = np.lib.format.read_magic(entry)
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(entry)
        name, there = member.filename.removesuffix(".npy"), member.file_size - entry.tell()
        if dtype.hasobject:
            raise FileError(f"array {name!r} must hold numbers; came dtype {dtype}")
        if math.prod(shape) * dtype.itemsize != there:
            raise FileError(
                f"array {name!r} of {dtype} and shape {shape} must fill {there} bytes; it does not"
            )
        return Header(shape, dtype)


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    _header(archive, member)
    with archive.open(member) as entry:
        array: NDArray[Any] = np.lib.format.read_array(entry, allow_pickle=False)
        if entry.read(1):  # to the end: only there zipfile compares the checksum
            raise FileError(f"array {member.filename!r} must end where its header says; came more")
        return array


def _sync_folder(folder: Path) -> None:
    # The rename itself lasts only once the folder is on disk; not every system lets one open a folder.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
