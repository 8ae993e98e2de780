"""A corpus that every user has: source code of Python's standard library."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from ..checks import integer
from .text import read_text

# Every build of a Python version has these with the same characters. Left out are files that a build generates
# (_sysconfigdata), modules that a build may lack (tkinter, test), those that distributions patch, to other folders
# (site, sysconfig, locale, gettext) or for security (email, urllib, tarfile), and those with letters beyond ASCII.
MODULES = tuple(
    """
    ast bisect calendar cmd code compileall configparser contextlib copy copyreg csv dataclasses difflib filecmp
    fnmatch genericpath glob graphlib keyword linecache mailbox modulefinder numbers operator optparse pickle
    pickletools pprint pstats pyclbr queue reprlib rlcompleter sched secrets shelve signal socketserver stat string
    stringprep symtable tabnanny textwrap token tokenize types uuid warnings weakref
    """.split()
)


def standard_library(size: int = 1_000_000) -> str:
    """Source code of the running Python's standard library, the same for everybody who has the same Python version.

    Some fifty modules of a fixed list, sorted by name, one after the other until `size` characters are passed; all of
    them have 1.1 million. They are pure Python and hold nothing of the machine, such as paths. Which Python
    version it is changes the text a little.

    Parameters
    ----------
    size : int

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        When the running Python lacks the source of one of the modules.

    Examples
    --------
    >>> text = standard_library(100_000)
    >>> len(text) > 100_000, text.isascii()
    (True, True)
    """
    integer("size", size, at_least=1)
    folder = Path(sysconfig.get_path("stdlib"))
    parts: list[str] = []
    length = 0
    for name in MODULES:
        if length > size:
            break
        if name not in sys.stdlib_module_names:
            continue  # a later version has dropped it, in every build
        parts.append(read_text(folder / f"{name}.py", shortest=1))
        length += len(parts[-1])
    return "".join(parts)
