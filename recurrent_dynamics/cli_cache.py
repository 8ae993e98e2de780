"""The commands `cache` and `warmup`: what is kept of compiled code, how it goes from place to place, how it is made."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

VERBS = ("forward", "backward", "jvp", "hvp", "jacobian", "step")
TRUST = "A cache holds machine code: import one only from a source you trust."


def add_commands(commands: Any) -> None:
    """Add `cache` and its actions to the commands of a parser."""
    text = "show, remove or take along the compiled code that is kept on the disk"
    command = commands.add_parser("cache", help=text, description=f"{text.capitalize()}.")
    actions = command.add_subparsers(dest="action", required=True, metavar="{info,clear,export,import}")

    text = "folder, size and entries of the cache"
    actions.add_parser("info", help=text, description=f"{text.capitalize()}.").set_defaults(run=_info)

    text = "remove all compiled code; programs compile it again when they need it"
    actions.add_parser("clear", help=text, description=f"{text.capitalize()}.").set_defaults(run=_clear)

    text = "write the cache into one file"
    action = actions.add_parser("export", help=text, description=f"{text.capitalize()}. {TRUST}")
    action.set_defaults(run=_export)
    action.add_argument("file", type=Path, metavar="FILE", help="an archive, replaced if it is there")

    text = "add the compiled code of an exported file to the cache"
    action = actions.add_parser("import", help=text, description=f"{text.capitalize()}. {TRUST}")
    action.set_defaults(run=_import)
    action.add_argument("file", type=Path, metavar="FILE", help="what `cache export` wrote")

    text = "compile cells before they are needed, on all cores"
    command = commands.add_parser("warmup", help=text, description=f"{text.capitalize()}.")
    command.set_defaults(run=_warmup)
    command.add_argument(
        "--cell",
        action="append",
        metavar="NAME",
        help="of the library; may be given again (default: lstm, gru, elman)",
    )
    command.add_argument(
        "--verb",
        action="append",
        metavar="NAME",
        help=f"of {', '.join(VERBS)}; may be given again (default: all)",
    )
    command.add_argument(
        "--dtype",
        action="append",
        choices=("float32", "float64"),
        help="may be given again (default: both)",
    )
    command.add_argument("--processes", type=int, metavar="N", help="how many compile (default: one a core)")


def _warmup(options: argparse.Namespace) -> int:
    from . import cells, engine

    chosen = [cells.by_name(name) for name in options.cell or ("lstm", "gru", "elman")]
    before, start = _disk().info(), time.monotonic()
    for dtype in options.dtype or ("float32", "float64"):
        print(f"compiling {', '.join(cell.name for cell in chosen)} for {dtype}", file=sys.stderr, flush=True)
        engine.compile(chosen, options.verb or VERBS, dtype, class_indices=True, processes=options.processes)
    after = _disk().info()
    print(
        f"{_entries(after.files - before.files)} more, {_megabytes(after.size)} in {after.folder}, "
        f"after {time.monotonic() - start:.0f} s"
    )
    return 0


def _info(options: argparse.Namespace) -> int:
    disk = _disk()
    info = disk.info()
    if info.folder is None:
        print("folder   none; compiled code is not kept")
        return 0
    print(f"folder   {info.folder} ({'writable' if info.writable else 'not writable'})")
    print(f"size     {_megabytes(info.size)} of {_megabytes(disk.limit)} at most")
    print(f"entries  {info.files}")
    print(f"builds   {len(info.builds)}")
    for build in info.builds:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(build.last_use))
        print(f"  {build.name}  {_entries(build.files)}, {_megabytes(build.size)}, last used {when}")
    return 0


def _clear(options: argparse.Namespace) -> int:
    disk = _disk()
    before = disk.info()
    removed = disk.clear()
    print(f"removed {_entries(before.files)}, {_megabytes(removed)}, from {before.folder}")
    return 0


def _export(options: argparse.Namespace) -> int:
    moved = _disk().export(options.file)
    print(f"wrote {_entries(moved.files)}, {_megabytes(moved.size)}, to {options.file}")
    print(TRUST, file=sys.stderr)
    return 0


def _import(options: argparse.Namespace) -> int:
    print(TRUST, file=sys.stderr)
    disk = _disk()
    moved = disk.import_(options.file)
    print(f"added {_entries(moved.files)}, {_megabytes(moved.size)}, to {disk.info().folder}")
    print(f"{_entries(moved.present)} of the file were there already")
    return 0


def _disk() -> Any:
    from .kernels.disk import Disk, default_folder, default_limit

    return Disk(default_folder(), default_limit())


def _entries(number: int) -> str:
    return f"{number} entry" if number == 1 else f"{number} entries"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
