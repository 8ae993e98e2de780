"""Compiler pipelines: inner functions are linked into their callers, and have no name outside of them.

Numba makes machine code of each inner function, then links the function into its callers and compiles it again there.
The first machine code is never used: `Inlined` does not make it.

The copies in the callers would keep their names, which each process numbers by itself. If one process loads the code of
two others, two different functions can have one name, and the linker takes either. `Whole` makes these functions
private and gives them unique names.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

import llvmlite.binding as llvm
from numba import _dynfunc, config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, _LowerResult
from numba.core.compiler_lock import require_global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    ReconstructSSA,
    TranslateByteCode,
)

# The names of functions that are called by address, and from Python, begin with these.
WRITTEN = "written."  # begins the names of functions that were written as instructions
OUTSIDE = ("cfunc.", "_ZN7cpython", WRITTEN)
RUNTIME = "NRT_"  # prefix of Numba's reference counting, which its compiler finds by name
APART = "_apart"  # part of the name of a function that is not inlined, because its loops need all registers
_numbers = itertools.count()


class _Linked(JITCodeLibrary):
    """One function, to be linked into others: it is optimized by itself, and nothing is inlined into it.

    It is kept without the functions that it calls, which `_Whole` adds: Numba would copy all that a function calls into
    each of its callers, and from there into theirs.
    """

    _linking_libraries: list[Any]
    _shared_module: Any

    def add_llvm_module(self, ll_module: Any) -> None:
        if APART in self.name:  # the passes keep more pointers alive than there are registers
            self._final_module.link_in(ll_module)
        else:
            super().add_llvm_module(ll_module)

    def finalize(self) -> None:
        require_global_compiler_lock()
        self._raise_if_finalized()
        for library in self._linking_libraries:
            self._reload_init.update(library._reload_init)
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.external:
                function.linkage = "linkonce_odr"  # several functions may bring it into one
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """The function with all that it calls, for callers of Numba's own pipeline."""
        if self._shared_module is None:
            self._shared_module = self._final_module.clone()
            _link(self._shared_module, self._linking_libraries)
        return self._shared_module


def _link(module: Any, libraries: Iterable[Any]) -> None:
    """Link functions and all that they call into a module: each once, and after all of its callers.

    LLVM leaves out a function that nothing calls when it is linked.
    """
    callees_first: dict[Any, None] = {}

    def visit(library: Any) -> None:
        if library not in callees_first:
            for callee in library._linking_libraries if isinstance(library, _Linked) else ():
                visit(callee)
            callees_first[library] = None

    for library in libraries:
        visit(library)
    for library in reversed(callees_first):
        own = isinstance(library, _Linked)
        module.link_in(library._final_module if own else library._get_module_for_linking(), preserve=True)


class _LinkedLight(_Linked):
    """Code that is not optimized before it is linked."""

    def add_llvm_module(self, ll_module: Any) -> None:
        self._final_module.link_in(ll_module)


class _Whole(JITCodeLibrary):
    """Machine code in which only functions that are called from outside keep their names."""

    _linking_libraries: list[Any]

    def add_llvm_module(self, ll_module: Any) -> None:
        self._final_module.link_in(ll_module)  # to be optimized once, with all functions that it calls

    def finalize(self) -> None:
        for library in self._linking_libraries:
            self._reload_init.update(library._reload_init)
        _link(self._final_module, self._linking_libraries)
        self._linking_libraries = []  # Numba has nothing left to link
        super().finalize()

    def _optimize_final_module(self) -> None:
        defined = [function for function in self._final_module.functions if not function.is_declaration]
        outside = sorted(function.name for function in defined if function.name.startswith(OUTSIDE))
        prefix = hashlib.sha256(" ".join(outside).encode()).hexdigest()[:20]
        for number, function in enumerate(defined):
            if APART in function.name:
                function.add_function_attribute("noinline")
            if not function.name.startswith((*OUTSIDE, RUNTIME)):
                # Private is not enough: the linker mistakes a private function for one of that name in another library.
                function.linkage, function.name = "internal", f"{prefix}.{number}"
        # First a cheap pass, as Numba has it: it brings references to one array into one function, where they cancel.
        cheap = {"loop_vectorize": False, "slp_vectorize": False, "opt": 0, "cost": "cheap"}
        for passes, builder in (self._codegen._module_pass_manager(**cheap), self._passes()):
            passes.run(self._final_module, builder)

    def _passes(self) -> tuple[Any, Any]:
        """The passes of LLVM, and what they were made by."""
        return self._codegen._module_pass_manager()


class _WholeLight(_Whole):
    """Code that takes two thirds of the time to compile.

    LLVM's second level would take a fifth longer and make loops that only call others no faster. They are not unrolled
    either: with several copies of its instructions a loop takes longer to compile than to run.
    """

    def _passes(self) -> tuple[Any, Any]:
        tuning = llvm.create_pipeline_tuning_options(speed_level=min(1, int(config.OPT)))
        tuning.loop_vectorization, tuning.slp_vectorization = config.LOOP_VECTORIZE, config.SLP_VECTORIZE
        tuning.loop_unrolling = tuning.loop_interleaving = False
        builder = llvm.create_pass_builder(self._codegen._tm, tuning)
        passes = builder.getModulePassManager()
        passes.add_refprune_pass()
        return passes, builder


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """Lower typed code to LLVM without a wrapper for calls from Python."""

    _name = "inlined_lowering"
    library = _Linked

    def run_pass(self, state: Any) -> bool:
        if state.library is None:
            state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        state.flags.no_compile = True
        super().run_pass(state)
        made = state["cr"]
        described, name = made.fndesc, made.fndesc.qualname.rpartition(".")[2]
        # Callers look the function up by this object.
        entry = _dynfunc.make_function(described.lookup_module(), name, "", 0, made.env, (state.library,))
        state.targetctx.insert_user_function(entry, described, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = _LowerResult(described, made.call_helper, cfunc=entry, env=made.env)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _LoweringLight(_Lowering):
    _name = "lowering_light"
    library = _LinkedLight


# Numba's passes without those that find nothing in kernels: closures, calls of other languages, arrays as wholes. How
# long variables live is found by the rewrites too, so it is not found before them.
_PASSES = (
    TranslateByteCode, FixupArgs, GenericRewrites, ReconstructSSA, NopythonTypeInference,
    PreLowerStripPhis, IRLegalization,
)  # fmt: skip


@cache
def _size_of(target: Any, kind: Any) -> int:
    """The bytes of a type. LLVM is asked by a module in text, which took a twelfth of all compilations."""
    return int(kind.get_abi_size(target))


class _Quick(Compiler):
    """Numba's compiler with fewer passes."""

    lowering: type[NativeLowering] = NativeLowering

    def __init__(self, typingctx: Any, targetctx: Any, *rest: Any) -> None:
        super().__init__(typingctx, targetctx, *rest)
        context = self.state.targetctx
        sizes = partial(_size_of, context.target_data)
        self.state.targetctx = context.subtarget(get_abi_sizeof=sizes)

    def define_pipelines(self) -> Any:
        pipeline = PassManager("kernel")
        for step in (*_PASSES, self.lowering, NoPythonBackend):
            pipeline.add_pass(step, step.name())
        pipeline.finalize()
        return [pipeline]


class Whole(_Quick):
    """Numba's compiler for functions that are called from Python or by address."""

    library: type[_Whole] = _Whole

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any) -> None:
        if library is None:
            library = self.new_library(targetctx.codegen())
        super().__init__(typingctx, targetctx, library, *rest)

    @classmethod
    def new_library(cls, codegen: Any) -> Any:
        """An empty library for such functions."""
        library = cls.library(codegen, f"whole.{next(_numbers)}")
        library.enable_object_caching()
        return library


class WholeLight(Whole):
    """`Whole` for functions that leave the work to others that they call."""

    library = _WholeLight


class Inlined(_Quick):
    """Numba's compiler for functions that compiled functions call: with another lowering pass."""

    lowering = _Lowering


class InlinedLight(Inlined):
    """`Inlined` for functions that leave the work to others: optimized in their callers, not by themselves before."""

    lowering = _LoweringLight
