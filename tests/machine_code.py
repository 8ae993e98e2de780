"""Kernels as the verbs launch them, captured where there is no GPU, and their machine code.

The verbs run on NumPy arrays, and what would have been launched is kept with the types of its arguments: nothing here
knows how a kernel is called. Numba's own `_Kernel` makes LLVM's text of it, once for all capabilities, as that is where
three quarters of the time go; NVVM makes PTX of that and the assembler machine code, in two processes meanwhile.
"""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

import cell_checks
import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.engine.cuda.device_model import H200, Device

REGISTERS = 65536  # of a multiprocessor; a warp takes them by 256
RESERVED = 1024  # bytes of shared memory that the system keeps of every block
CAPABILITIES = ((8, 0), (9, 0))
PACKAGE = "recurrent_dynamics.engine.cuda."


@cache
def assembler() -> pathlib.Path | None:
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for found in sorted(pathlib.Path(folder).glob("*/bin/ptxas")):
            return found
    return None


@dataclass(frozen=True)
class Launch:
    """A kernel with the sizes and the types of its launch."""

    name: str
    function: Any
    threads: int
    shared_bytes: int
    types: tuple[Any, ...]


def launches(
    cell: Cell, dtype: str, verbs: Iterable[str], hidden: int = 16, batch: int = 64, device: Device = H200,
    walk: Any = None, **options: Any,
) -> list[Launch]:  # fmt: skip
    """What the verbs of a cell launch; `walk` chooses walks in place of the plan, `options` go to `rd.forward`."""
    importlib.import_module(PACKAGE + "verbs")  # and with it all that launch kernels
    found: list[Launch] = []

    def keep(function: Any, blocks: int, threads: int, shared_bytes: int, *arguments: Any) -> None:
        types = tuple(function.typeof_pyval(a) for a in arguments)
        name = f"{cell.name}, {dtype}, {function.py_func.__module__.rpartition('.')[2]}.{function.__name__}"
        found.append(Launch(name, function, threads, shared_bytes, types))

    c = cell_checks.case(
        cell, np.random.default_rng(0), steps=2, batch=batch, inputs=8, hidden=hidden
    ).astype(dtype)
    answers = {"launch": keep, "array_module": lambda: np, "ready": lambda: None, "limits": lambda: device,
               "current_device": lambda: device} | ({"plan_walk": walk} if walk else {})  # fmt: skip
    with (
        pytest.MonkeyPatch.context() as patch,
        np.errstate(all="ignore"),
    ):  # nothing writes what is computed with
        for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
            for answer, value in answers.items():
                if hasattr(sys.modules[name], answer) and not (
                    answer == "plan_walk" and name.endswith("choose")
                ):
                    patch.setattr(sys.modules[name], answer, value)
        groups = {
            name: cell_checks.group(c.point, name) for name in ("params", "initial", "signals", "memory")
        }
        run = rd.forward(
            cell, groups["params"], c.x, initial=groups["initial"], signals=groups["signals"], check_finite=False,
            memory=groups["memory"], memory_lengths=c.memory_lengths, device="cuda", **options,
        )  # fmt: skip
        if "forward" not in verbs:
            found.clear()
        if "tangent" in verbs:
            rd.jvp(run, d_params=groups["params"])
        if "adjoint" in verbs:
            rd.backward(run, np.ones(run.output.shape, dtype))
        if "jacobian" in verbs:
            rd.jacobian(run, 0)
    return list({(launch.function, launch.types): launch for launch in found}.values())


@cache
def _library(function: Any, types: tuple[Any, ...]) -> tuple[Any, bool]:
    """(its code in LLVM's language, whether it is launched cooperatively)."""
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import devices

    device = mock.Mock(compute_capability=CAPABILITIES[-1])
    with (
        mock.patch.object(dispatcher, "get_current_device", return_value=device),
        mock.patch.object(devices, "get_context", return_value=mock.Mock(device=device)),
    ):
        kernel = dispatcher._Kernel(function.py_func, types, **function.targetoptions)
    return kernel._codelibrary, kernel.cooperative


def made(function: Any, types: tuple[Any, ...], capability: tuple[int, int]) -> tuple[str, str, bool]:
    """(PTX, the architecture it is for, whether the launch is cooperative)."""
    library, cooperative = _library(function, types)
    suffix = "a" if capability >= (9, 0) else ""  # as numba-cuda asks for them
    return (
        library.get_asm_str(cc=(*capability, suffix)),
        f"sm_{capability[0]}{capability[1]}{suffix}",
        cooperative,
    )


def assembled(ptx: str, arch: str, registers: int) -> str:
    """What the assembler says of the machine code."""
    with tempfile.TemporaryDirectory() as folder:
        text, code = pathlib.Path(folder, "kernel.ptx"), pathlib.Path(folder, "kernel.cubin")
        text.write_text(ptx)
        done = subprocess.run(
            [str(assembler()), "-c", f"-arch={arch}", "-v", f"--maxrregcount={registers}", str(text), "-o", str(code)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert code.stat().st_size > 0, said
    return said


def faults(launch: Launch, ptx: str, said: str, cooperative: bool, device: Device) -> list[str]:
    """What of a kernel is not as it should be."""
    found = []
    spilt = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    if spilt is None or any(int(n) for n in spilt.groups()):
        found.append(f"spills: {spilt[0] if spilt else said}")
    registers = re.search(r"Used (\d+) registers", said)
    warps = -(-launch.threads // 32)
    if registers is None or -(-int(registers[1]) * 32 // 256) * 256 * warps > REGISTERS:
        found.append(f"{registers and registers[0]} with {launch.threads} threads")
    static = re.search(r"(\d+) bytes smem", said)
    if static is not None:
        found.append(f"{static[0]} that no plan counts")
    if launch.shared_bytes > device.shared_bytes:
        found.append(f"{launch.shared_bytes} bytes of shared memory")
    # An instruction, not the comment or a directive: `cvt.rn.f64.f32`, `mul.f64`, `ld.shared.f64`.
    double = re.search(r"^\s*(@%p\d+ )?[a-z][\w.]*\.f64\b", ptx, re.MULTILINE)
    if double is not None and "float32" in launch.name:
        found.append(f"in double precision: {double[0].strip()}")
    if cooperative != ("cudaCGSynchronize" in ptx):
        found.append("its barriers of the grid are not those of a cooperative launch")
    return found


def check(
    all_launches: list[Launch], capabilities: Iterable[tuple[int, int]] = ((9, 0),), device: Device = H200
) -> None:
    """Compile kernels for some compute capabilities; an AssertionError names all faults of all of them."""
    assert all_launches
    with ThreadPoolExecutor(2) as pool:
        waiting: list[tuple[Launch, str, str, bool, Future[str]]] = []
        for launch in all_launches:
            for capability in capabilities:
                ptx, arch, cooperative = made(launch.function, launch.types, capability)
                said = pool.submit(assembled, ptx, arch, launch.function.targetoptions["max_registers"])
                waiting.append((launch, arch, ptx, cooperative, said))
        wrong = [
            f"{launch.name} for {arch}: {fault}"
            for launch, arch, ptx, cooperative, said in waiting
            for fault in faults(launch, ptx, said.result(), cooperative, device)
        ]
    assert not wrong, "\n".join(wrong)
