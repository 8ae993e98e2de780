"""The file of one entry of the disk: a key and its payload, written whole, and recognized when it is damaged."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from struct import Struct
from typing import BinaryIO

MAGIC = b"RDYNCODE"
VERSION = 1  # of the layout
# Magic, version and bytes of the key; the key, the SHA-256 of the payload and the payload follow.
HEAD = Struct("<8sII")
DIGEST = 32  # bytes of a SHA-256
HOUR = 3600  # seconds; no write takes longer, and times of use are accurate to an hour

BUILD = re.compile(r"[0-9a-f]{1,64}")
ENTRY = re.compile(r"[0-9a-f]{40}\.bin")
BESIDE = re.compile(rf"{ENTRY.pattern}(\.lock|\.[0-9a-f]{{16}}\.tmp)")


def is_build(name: str) -> bool:
    """Whether a folder's name is that of a build: 1 to 64 hexadecimal digits in lower case."""
    return BUILD.fullmatch(name) is not None


def is_entry(name: str) -> bool:
    """Whether a file's name is that of an entry."""
    return ENTRY.fullmatch(name) is not None


def is_file_of_a_disk(name: str) -> bool:
    """Whether a file's name is that of an entry, of its lock or of a temporary file for it."""
    return is_entry(name) or BESIDE.fullmatch(name) is not None


def sha256(content: bytes | memoryview) -> bytes:
    """The SHA-256 of bytes."""
    import hashlib  # loads OpenSSL, 3 ms

    return hashlib.sha256(content).digest()


def file_name(key: str) -> str:
    """The name of a key's file: keys are too long for names, and hold any characters."""
    return f"{sha256(key.encode()).hex()[:40]}.bin"


def pack(key: str, payload: bytes) -> bytes:
    """The content of the file of a key.

    Examples
    --------
    >>> unpack(pack("tanh float64", b"code"))
    ('tanh float64', b'code')
    """
    text = key.encode()
    return b"".join((HEAD.pack(MAGIC, VERSION, len(text)), text, sha256(payload), payload))


def unpack(content: bytes) -> tuple[str, bytes] | None:
    """The key and the payload of a file; None if it is cut short, damaged, or of another layout.

    Examples
    --------
    >>> unpack(pack("tanh float64", b"code")[:-1]) is None
    True
    """
    if len(content) < HEAD.size:
        return None
    magic, version, length = HEAD.unpack_from(content)
    start = HEAD.size + length + DIGEST
    if magic != MAGIC or version != VERSION or len(content) < start:
        return None
    if sha256(memoryview(content)[start:]) != content[start - DIGEST : start]:
        return None
    try:
        return content[HEAD.size : start - DIGEST].decode(), content[start:]
    except UnicodeDecodeError:
        return None


def write_whole(path: str, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name beside its place, then rename it.

    It is not forced to the disk, which takes longer than a small kernel compiles: a file that a crash of the system
    cuts short is recognized by its checksum.

    Raises
    ------
    OSError
        When it cannot be written. An older file under the path then still stands.
    """
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            write(file)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
