"""The processor that Numba compiles for, which is not always the one that it runs on."""

from __future__ import annotations

import os
from functools import lru_cache

import llvmlite.binding as llvm
from numba import config

VECTOR_BYTES = "RECURRENT_DYNAMICS_VECTOR_BYTES"


@lru_cache(maxsize=1)
def features() -> str:
    """The instruction sets as LLVM names them, "+avx2,-avx512f,...": NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count."""
    if config.CPU_FEATURES is not None:
        return str(config.CPU_FEATURES)
    found = llvm.get_host_cpu_features()
    if not config.ENABLE_AVX:
        for name in found:
            found[name] = found[name] and not name.startswith("avx")
    return str(found.flatten())


def vector_bytes() -> int:
    """Width of the vector registers; RECURRENT_DYNAMICS_VECTOR_BYTES=32 or 16 tries narrower ones."""
    given = os.environ.get(VECTOR_BYTES)
    if given:
        if given not in ("16", "32", "64"):
            raise ValueError(f"{VECTOR_BYTES} must be 16, 32 or 64; came {given!r}")
        return int(given)
    has = features().split(",")
    return 64 if "+avx512f" in has else 32 if "+avx2" in has else 16


BYTES = vector_bytes()
# Vector registers: x86 has 16 without AVX-512; with it there are 32, as on AArch64.
REGISTERS = 16 if BYTES < 64 and llvm.get_process_triple().startswith(("x86_64", "i686")) else 32


@lru_cache(maxsize=1)
def description() -> str:
    """Everything about the processor that machine code depends on."""
    name = config.CPU_NAME or llvm.get_host_cpu_name()
    return f"{llvm.get_process_triple()} {name} {features()} O{config.OPT} {BYTES}"
