"""How Numba compiles: what other functions call is linked into them, and has no name outside of them.

Numba makes machine code of each function that is called by others, though it links it into its callers and compiles it
again there. Nothing of the first is used: `Inlined` leaves it out.

The copies in the callers would keep their names, which a process numbers by itself. When machine code of two processes
comes together, two different functions can have one name, and the linker takes either. `Whole` makes these functions
private and gives them names of their own.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, _LowerResult
from numba.core.compiler_lock import require_global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

OUTSIDE = (
    "cfunc.",
    "_ZN7cpython",
)  # begin the names of functions that are called at an address, and by Python
RUNTIME = "NRT_"  # of Numba's reference counts, which its compiler finds by their names
APART = "_apart"  # in the name of a function that is not inlined: its loops want all registers for themselves
_numbers = itertools.count()


class _Linked(JITCodeLibrary):
    """What is linked into callers: each function is optimized for itself, and nothing is inlined into it."""

    def add_llvm_module(self, ll_module: Any) -> None:
        if APART in self.name:  # the passes keep pointers alive for which there are no registers
            self._final_module.link_in(ll_module)
        else:
            super().add_llvm_module(ll_module)

    def finalize(self) -> None:
        require_global_compiler_lock()
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True


class _Whole(JITCodeLibrary):
    """Machine code in which only the functions that are called from outside keep their names."""

    def _optimize_final_module(self) -> None:
        defined = [function for function in self._final_module.functions if not function.is_declaration]
        outside = sorted(function.name for function in defined if function.name.startswith(OUTSIDE))
        prefix = hashlib.sha256(" ".join(outside).encode()).hexdigest()[:20]
        for number, function in enumerate(defined):
            if APART in function.name:
                function.add_function_attribute("noinline")
            if not function.name.startswith((*OUTSIDE, RUNTIME)):
                # Private alone would not do: the linker takes a private function for another library's of that name.
                function.linkage, function.name = "internal", f"{prefix}.{number}"
        super()._optimize_final_module()


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """From typed code to LLVM's, without a function that could be called from Python."""

    _name = "inlined_lowering"

    def run_pass(self, state: Any) -> bool:
        if state.library is None:
            state.library = _Linked(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        state.flags.no_compile = True
        super().run_pass(state)
        made = state["cr"]
        described, name = made.fndesc, made.fndesc.qualname.rpartition(".")[2]
        # Callers ask for the function by this object.
        entry = _dynfunc.make_function(described.lookup_module(), name, "", 0, made.env, (state.library,))
        state.targetctx.insert_user_function(entry, described, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = _LowerResult(described, made.call_helper, cfunc=entry, env=made.env)
        return True


class Whole(Compiler):
    """Numba's compiler of functions that are called from Python, or at an address."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        if library is None:
            library = _Whole(targetctx.codegen(), f"whole.{next(_numbers)}")
            library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, *rest)


class Inlined(Compiler):
    """Numba's compiler of functions that compiled functions call: with another last step."""

    def define_pipelines(self) -> Any:
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes[:] = [
                (_Lowering if step is NativeLowering else step, text) for step, text in pipeline.passes
            ]
        return pipelines
