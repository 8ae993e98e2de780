"""Files that are there whole or not at all, and arrays with a description in one of them."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError

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
    path = Path(path)
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


def read_described(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    assemble: Callable[[dict[str, NDArray[Any]], dict[str, Any]], Result],
) -> Result:
    """Read what `write_described` wrote.

    Parameters
    ----------
    path : path-like
    kind, version
        As they were written.
    assemble : callable
        From the arrays and the description to the result. Whatever it raises says that the file is damaged.

    Raises
    ------
    FileNotFoundError
        When there is none.
    OSError
        When it cannot be opened.
    ValueError
        When the file is not of this kind and version, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no {kind} there")
    # Opened here and not by NumPy, which leaves a file that is no zip to the garbage collector.
    with path.open("rb") as stream:
        try:
            with np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            described = json.loads(str(arrays.pop(kind)))
            found = described.pop("format")
            if found == version:
                return assemble(arrays, described)
        except MemoryError:
            raise
        except Exception as error:  # damaged bytes raise almost anything: zipfile, zlib, struct, NumPy, JSON
            raise ValueError(f"{path}: not a {kind}, or a damaged one") from error
    raise ArgumentError(str(path), f"be a {kind} of format {version}", f"format {found}")


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
