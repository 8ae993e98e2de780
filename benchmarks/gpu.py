"""The CUDA engine on the GPU at hand, checked, timed and compared, in one call: ``python benchmarks/gpu.py``.

Needs nothing from a network: a driver, and installed beforehand this package with the extra ``cu12`` or ``cu13`` (by
the CUDA version that nvidia-smi shows: numba-cuda, and CuPy with cuBLAS) or with numba-cuda and CuPy from elsewhere.
Against PyTorch where a build with CUDA is installed, ours alone where not; ``torch.compile`` wants a C compiler too.

Each row is a process of its own, so that an illegal address or a kernel that never ends takes no other row along. Rows
that check run side by side; rows that time are prepared, compiled that is, meanwhile, and have the GPU to themselves
when it is their turn. Times are medians by CUDA events of calls on arrays that lie on the device. What has not begun
when the time is up is left out, and said so. ``--dry-run`` takes every row in Numba's simulator, without a GPU.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from gpu_rows.report import FINDING, READY, Options, shown

ROW_SECONDS = 240  # a row that takes longer hangs
REPORT_LINES = 12  # of what a failed row said last
DRY = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}


class Session:
    """Rows that run in processes, and what they found."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.begun = arguments, time.monotonic()
        self.findings: list[dict[str, Any]] = []
        self.failed: list[str] = []
        self.places = asyncio.Semaphore(arguments.processes)
        self.gpu, self.checked, self.to_check = asyncio.Lock(), asyncio.Event(), 0

    @property
    def left(self) -> float:
        """Seconds."""
        return 60 * self.arguments.minutes - (time.monotonic() - self.begun)

    async def run(self, checks: list[str], times: list[str]) -> None:
        """Run all rows, checks first."""
        self.to_check = len(checks)
        if not checks:
            self.checked.set()
        await asyncio.gather(*(self.row(name, name in checks) for name in checks + times))

    async def row(self, name: str, checks: bool) -> None:
        """Run one row in a process and print what it said."""
        lines: list[str] = []
        async with self.places:
            begun, problem = time.monotonic(), "left out: the time is up"
            if self.left > 0:
                problem = await self.process(name, lines, min(self.left, ROW_SECONDS))
        if checks:
            self.to_check -= 1
            if not self.to_check:
                self.checked.set()
        print(f"\n{name} ({time.monotonic() - begun:.1f} s)")
        reports = [line for line in lines if not line.startswith(FINDING)]
        for line in reports[-REPORT_LINES:] if problem else reports:
            print(f"  {line}")
        for line in lines:
            if line.startswith(FINDING):
                finding = {"row": name} | json.loads(line.removeprefix(FINDING))
                self.findings.append(finding)
                print(f"  {shown(finding)}")
        if problem:
            print(f"  FAILED: {problem}")
            self.failed.append(name)
        sys.stdout.flush()

    async def process(self, name: str, lines: list[str], seconds: float) -> str:
        """What went wrong, if anything did."""
        given = self.arguments
        how = [f"--seconds={given.seconds}", f"--seeds={given.seeds}", *["--dry-run"][: given.dry_run]]
        child = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--row", name, *how, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=threads(given.processes) | os.environ | (DRY if given.dry_run else {}), limit=1 << 20,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds) as limit:
                await self.follow(child, lines, limit)
                code = await child.wait()
        except TimeoutError:
            return f"stopped: it took over {ROW_SECONDS} s, or the time is up"
        except OSError as error:  # it ended while it was told to go on
            return f"{type(error).__name__}: {error}"
        finally:
            if child.returncode is None:
                child.kill()
                with contextlib.suppress(TimeoutError):  # while the driver lets go of it
                    await asyncio.wait_for(child.wait(), 10)
        return f"exit status {code}" if code else ""

    async def follow(
        self, child: asyncio.subprocess.Process, lines: list[str], limit: asyncio.Timeout
    ) -> None:
        """Read what a row says to its end; when it is ready to time, wait until the GPU is free."""
        now = asyncio.get_running_loop().time
        assert child.stdout is not None
        assert child.stdin is not None
        while raw := await child.stdout.readline():
            line = raw.decode(errors="replace").rstrip()
            if line != READY:
                lines.append(line)
                continue
            limit.reschedule(now() + self.left)  # waiting is no fault of its own
            await self.checked.wait()
            async with self.gpu:
                limit.reschedule(now() + min(self.left, ROW_SECONDS))
                child.stdin.write(b"go\n")
                await child.stdin.drain()
                while raw := await child.stdout.readline():
                    lines.append(raw.decode(errors="replace").rstrip())

    def summary(self) -> None:
        """Print what was wanted and is not, and which rows failed."""
        bound = [f for f in self.findings if f["met"] is not None]
        print(f"\n{sum(f['met'] for f in bound)} of {len(bound)} bounds are met", end="")
        print(f"; {time.monotonic() - self.begun:.0f} s in all")
        for finding in bound:
            if not finding["met"]:
                print(f"  not met: {finding['row']}: {shown(finding)}")
        for name in self.failed:
            print(f"  failed: {name}")


def threads(processes: int) -> dict[str, str]:
    """Settings of a row's process: the CPU engines of all of them share the processors."""
    share = {"NUMBA_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes))}
    # Processes of torch.compile would outlive the row and keep its output open.
    return share | {"PYTHONUNBUFFERED": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}


def environment(dry: bool) -> str:
    """The device and the versions, as far as they can be found out; an error stops everything before it begins."""
    if dry:
        return "dry run in Numba's simulator: no number means anything"
    from importlib.metadata import version

    from recurrent_dynamics.engine.cuda import driver

    driver.ready()
    xp = driver.array_module()
    cuda = xp.cuda.runtime
    packages = ", ".join(f"{name} {version(name)}" for name in ("numba", "numba-cuda", "numpy"))
    return (
        f"{driver.limits()}\nCuPy {xp.__version__}, CUDA {cuda.runtimeGetVersion()}, driver "
        f"{cuda.driverGetVersion()}, {packages}, Python {sys.version.split()[0]}, {os.cpu_count()} processors"
    )


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0].partition(":")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each entry (default: 1)")
    parser.add_argument("--seeds", type=int, default=3, help="of the checks (default: 3)")
    parser.add_argument("--minutes", type=float, default=7.5, help="for everything (default: 7.5)")
    parser.add_argument(
        "--processes", type=int, default=max(1, min(6, (os.cpu_count() or 2) // 2)), help="at once"
    )
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="those whose names hold one of these")
    parser.add_argument("--only-check", action="store_true", help="no times")
    parser.add_argument("--dry-run", action="store_true", help="in Numba's simulator, at tiny sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep what was found in a file too")
    parser.add_argument("--row", help=argparse.SUPPRESS)  # in the processes that this one starts
    options = parser.parse_args(arguments)
    if options.dry_run:
        options.seconds = 0.0
    return options


def main(arguments: list[str] | None = None) -> int:
    """Check, then time; 0 if all rows came to their ends."""
    options = parsed(arguments)
    from gpu_rows.checks import CHECKS
    from gpu_rows.times import TIMES

    if options.row is not None:
        if options.dry_run:
            from gpu_rows import simulator

            simulator.install()
        (CHECKS | TIMES)[options.row](options.row, Options(options.dry_run, options.seconds, options.seeds))
        return 0
    about = environment(options.dry_run)
    print(about, flush=True)
    asked = [n for n in [*CHECKS, *TIMES] if not options.rows or any(part in n for part in options.rows)]
    if not asked:
        raise SystemExit(f"--rows: none of {', '.join([*CHECKS, *TIMES])} holds {' or '.join(options.rows)}")

    async def everything() -> Session:
        session = Session(options)
        timed = [] if options.only_check else [name for name in asked if name in TIMES]
        await session.run([name for name in asked if name in CHECKS], timed)
        return session

    session = asyncio.run(everything())
    session.summary()
    if options.json is not None:
        kept = {"environment": about, "findings": session.findings, "failed": session.failed}
        options.json.write_text(json.dumps(kept, indent=1))
    return 1 if session.failed else 0


if __name__ == "__main__":
    sys.exit(main())
