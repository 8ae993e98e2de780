"""How each library is held to AVX2 on a processor that has AVX-512."""

from __future__ import annotations

import llvmlite.binding as llvm

LATER = ("avx512", "avx10", "amx", "evex512")  # names of LLVM's features


def without_avx512() -> dict[str, str]:
    """Return the environment, to be set before any of the libraries is imported.

    The name of a processor is not enough for Numba: the features of the host are added to it.
    """
    features = llvm.get_host_cpu_features()
    for name in list(features):
        features[name] = features[name] and not name.startswith(LATER)
    return {
        "NUMBA_CPU_NAME": "znver3",
        "NUMBA_CPU_FEATURES": features.flatten(),
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }
