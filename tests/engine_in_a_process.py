"""What the tests of the build run in a process of its own: `python engine_in_a_process.py TASK`."""

from __future__ import annotations

import errno
import json
import pathlib
import sys

import numpy as np
from cell_checks import case, check, check_forward

import recurrent_dynamics as rd


def derivatives() -> None:
    """Every verb of two cells at ragged sizes, of networks without input too."""
    rng = np.random.default_rng(0)
    for cell in (rd.cells.lstm(), rd.cells.gru()):
        for steps, batch, inputs, hidden in ((3, 2, 3, 5), (2, 9, 1, 17), (2, 3, 9, 1)):
            for ragged in (False, True):
                c = case(cell, rng, steps, batch, inputs, hidden, lengths=ragged, reset=ragged)
                check(c, rng, every_entry=False)
        run = rd.forward(cell, cell.init(0, 5, dtype="float64"), steps=3)
        rd.hvp(run, run.output, d_initial={"h": np.ones(5)})
        rd.jacobian(run)


def bad_index() -> None:
    """Reads beyond the end of an array."""
    from numba import njit

    from recurrent_dynamics.kernels.access import get

    read = njit(lambda a, i: get(a, i))
    assert read(np.arange(4.0), 3) == 3.0
    print("in range", flush=True)
    read(np.arange(4.0), 4)


def bad_row() -> None:
    """Computes rows of a cell, then the same where the array of the new state is too short by an entry."""
    import ctypes

    from recurrent_dynamics.cells.layout import Layout
    from recurrent_dynamics.engine.cpu import rows, tables

    cell, instances = rd.cells.elman(), np.arange(2)
    layout = Layout.of(cell, 3, 5)
    made = rows.compiler(cell, "forward", "float64")("row")
    integer, pointer = ctypes.c_int64, ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(None, integer, pointer, pointer, pointer, integer, integer)
    kernel = kind(made.library.get_pointer_to_function(made.function))
    widths = tables.widths(layout)
    sizes = np.concatenate([widths, 0 * widths, widths])
    for missing in (0, 1):
        e, k = layout.values_size, layout.state_size
        arrays = [np.zeros(n) for n in (2 * e, 2 * k, layout.vectors_size, 0, 2 * k - missing)]
        task = np.array([e, k, layout.vectors_size, *(n for a in arrays for n in (a.ctypes.data, a.size))])
        for stage in range(cell.schedule.stages + 1):
            kernel(stage, task.ctypes.data, sizes.ctypes.data, instances.ctypes.data, 0, instances.size)
        print("in range", flush=True)


def compiled_before() -> None:
    """All verbs without SymPy, which compiling needs; Numba compiles nothing, not even what kernels call."""
    from numba.core import event

    sys.modules["sympy"] = None  # type: ignore[assignment]
    cell = rd.cells.elman()
    with event.install_recorder("numba:compile") as compiled:
        run = rd.forward(cell, cell.init(3, 5, dtype="float64"), np.ones((4, 2, 3)))
        rd.backward(run, run.output)
        rd.hvp(run, run.output, {"b": np.ones(5)})
        rd.jacobian(run)
    assert [e.data["dispatcher"] for _, e in compiled.buffer if e.is_start] == []

    from recurrent_dynamics.engine.cpu import jacobian, tangent_loops, time_loops

    for function in (
        time_loops.forward,
        time_loops.adjoint,
        tangent_loops.tangent,
        tangent_loops.second,
        jacobian.jacobian,
    ):
        assert not function.stats.cache_misses, function
        assert len(function.stats.cache_hits) == 1, function


def right(verbs: str, *names: str) -> None:
    """Runs cells and compares with the reference; prints the keys of all that was compiled."""
    from recurrent_dynamics.kernels.disk import Disk

    compiled = []
    store = Disk.store

    def note_and_store(self, key, *rest):
        compiled.append(key)
        store(self, key, *rest)

    Disk.store = note_and_store  # type: ignore[method-assign]
    rng = np.random.default_rng(0)
    for name in names:
        c = case(rd.cells.by_name(name), rng)
        if verbs == "all":
            check(c, rng, every_entry=False)
        else:
            check_forward(c)
    print(json.dumps(compiled))


def right_and_read_only(verbs: str, *names: str) -> None:
    """The same where nothing can be written."""
    from recurrent_dynamics.kernels import files

    def write(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    files.write = write
    right(verbs, *names)


def row(name: str) -> None:
    """Compiles the equations of a cell and nothing else."""
    from recurrent_dynamics.engine.cpu.rows import row_kernel

    row_kernel(rd.cells.by_name(name), "forward", np.dtype("float64"))


def build() -> None:
    """Prints what names the build, and how wide vector registers are."""
    from recurrent_dynamics.kernels import fingerprint, processor

    print(json.dumps([fingerprint.build(), processor.BYTES]))


def keys(package: str, *edited: str) -> None:
    """Prints the keys as the package stands, and after the edit of each of some files; it must be a copy."""
    from recurrent_dynamics.engine.cpu import rows, time_loops
    from recurrent_dynamics.kernels import fingerprint, machine_code

    assert pathlib.Path(package) == fingerprint.PACKAGE
    asked = []
    machine_code.address = lambda key, *rest: asked.append(key)  # type: ignore[assignment, return-value]

    def now() -> dict[str, str]:
        for function in (fingerprint.of_files, fingerprint.build, rows._derivation_fingerprint):
            function.cache_clear()
        rows._address(rd.cells.lstm(), "forward", "float64")
        return {"row": asked.pop(), "loop": time_loops.forward._cache._key(()), "build": fingerprint.build()}

    found = {"": now()}
    for name in edited:
        file = pathlib.Path(package, name)
        text = file.read_bytes()
        file.write_bytes(text + b"# edited\n")
        found[name] = now()
        file.write_bytes(text)
    print(json.dumps(found))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
