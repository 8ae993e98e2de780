"""The forward pass: arrays in, checked once, and a run out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cells.cell import Cell
from ..checks import ArgumentError, ArgumentTypeError, boolean, is_finite
from . import check
from .arguments import (
    Arrays,
    input_of,
    input_where_it_lies,
    new_tape,
    output_slot,
    own_classes,
    own_input,
    own_parameters,
    refuse_not_finite,
    state_row,
    without_steps,
    write_signals,
)
from .backends import backend, resolve_device
from .frozen import FrozenParams
from .memories import memory_of_run, source_size
from .run import Run, one_hot


def forward(
    cell: Cell,
    params: Arrays,
    x: np.ndarray | None = None,
    *,
    steps: int | None = None,
    initial: Arrays | None = None,
    lengths: Sequence[int] | np.ndarray | None = None,
    reset: np.ndarray | None = None,
    signals: Arrays | None = None,
    memory: Arrays | None = None,
    memory_lengths: Sequence[int] | np.ndarray | None = None,
    memory_of: Sequence[int] | np.ndarray | None = None,
    check_finite: bool = True,
    copy_params: bool = True,
    tape: bool = True,
    device: str | None = None,
    stream: Any = None,
    tf32: bool = False,
    tape_dtype: str | None = None,
) -> Run:
    """Run a cell through time.

    Parameters
    ----------
    cell
        The equations.
    params
        The parameters, as `cell.init` makes them.
    x : ndarray (T, B, N) or (T, N), or of integers (T, B) or (T,), optional
        The input, time first; (T, N) is one sequence. Integers are class indices in 0..N-1: the same as one-hot
        vectors, which are never formed on the CPU; there is no gradient by them. Without `x` the network runs by
        itself for `steps` steps.
    steps
        The number of steps of a run without input.
    initial : dict of ndarray (B, width) or (width,), optional
        The state before the first step by slot; 0 where not given.
    lengths : (B,) integers, optional
        The true length of each sequence. Beyond it outputs are 0 and states are held; the input there is not read.
    reset : ndarray (T, B) of booleans, optional
        Where true, the state is set back to `initial` before that step.
    signals : dict of ndarray (T, B) or (T, B, H), optional
        The signals that the cell declares. Masks may be left out: their means are used then.
    memory : dict of ndarray (S, B, width) or (S, width), optional
        What a cell with attention reads, by name, positions first: all that the cell declares, such as "keys" and
        "values" of `cells.attention`. The gradients by them are `Gradients.memory`.
    memory_lengths : (B,) integers, optional
        The true length of the source of each sequence, from 0 to S. Positions beyond it have weights of exactly 0, and
        are not read. An empty source reads as zeros.
    memory_of : (B,) integers, optional
        Which of M memories each sequence reads, for hypotheses that share a source without copies: `memory` has shape
        (S, M, width) then, `memory_lengths` (M,).
    check_finite
        Whether a run that becomes NaN or infinite raises.
    copy_params
        Whether the run copies the parameters, so that later changes do not reach it. Without copies, a run on the CPU
        reads the given arrays in place if it can. It then checks whether they are finite only if the run is not, and
        never with ``check_finite=False``. This suits training, where each update makes new arrays.
    tape
        Whether to keep the states and values of all steps, and the input, for `backward` and everything else that is
        computed from a run. A run without a tape has only its output and its final state, the same to the last bit,
        and keeps no other memory. This suits inference. It has no copies of the parameters either, see `copy_params`.
        On the CPU only.
    device : "cpu" or "cuda", optional
        Where to compute; by default where the arrays lie. Arrays on a GPU stay there: CuPy arrays, PyTorch tensors,
        and other arrays with DLPack or ``__cuda_array_interface__``. The arrays of the run are then CuPy arrays on the
        same GPU. With "cuda" NumPy arrays are copied to the current GPU, and results are copied back when they are
        first read.
    stream
        With "cuda": the stream on which the work is queued, of CuPy, of PyTorch, or an object with
        ``__cuda_stream__``; CuPy's current stream by default. Later work with the run waits for it.
    tf32
        With "cuda" and float32: whether cuBLAS may round the factors of products to 10 bits, in the run and in later
        computations from it. By default all arithmetic is IEEE float32. Kernels that multiply by themselves, see
        `recurrent_dynamics.engine.plan`, always use float32.
    tape_dtype : "bfloat16", optional
        With "cuda" and float32: keep the drives of all steps as bfloat16, in half the memory. The run is the same to
        the last bit. Gradients, tangents and Jacobians are computed from drives of 8 bits, with errors of about one
        percent, and `drives` returns these rounded drives. States and signals stay float32. Not for a cell that reads
        a memory.

    Returns
    -------
    Run

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came; NaN and infinity are refused, and located. Arrays on
        different GPUs; `stream`, `tf32`, `tape_dtype` or ``tape=False`` where they cannot be honoured.
    FloatingPointError
        The state became NaN or infinite: at which step, in which slot.
    ModuleNotFoundError, RuntimeError
        With "cuda": numba-cuda or CuPy is absent (names the extra to install), there is no driver or no GPU.
    MemoryError
        With "cuda": the run needs more memory than the GPU has left; how much, and what would fit.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> params = cell.init(input_size=2, hidden_size=3)
    >>> run = rd.forward(cell, params, np.ones((5, 4, 2), "float32"))
    >>> run.output.shape, run.final["h"].shape
    ((5, 4, 3), (4, 3))

    Without a tape there is nothing to go back along:

    >>> quick = rd.forward(cell, params, np.ones((5, 4, 2), "float32"), tape=False)
    >>> bool((quick.output == run.output).all())
    True
    """
    usual = (
        steps is None and initial is None and lengths is None and reset is None and signals is None
        and check_finite is True and device is None and stream is None and tf32 is False and tape_dtype is None
        and memory is None and memory_lengths is None and memory_of is None
    )  # fmt: skip
    if usual and type(params) is FrozenParams and params.cell is cell and tape is False:
        run = params.run(x)
        if run is not None:
            return run
    where, gpu = resolve_device(
        device, params=params, x=x, initial=initial, signals=signals, memory=memory, lengths=lengths, reset=reset,
        memory_lengths=memory_lengths, memory_of=memory_of,
    )  # fmt: skip
    if not isinstance(tape, bool | np.bool_):
        raise ArgumentTypeError("tape", "be True or False", repr(tape))
    check_finite, copy_params = boolean("check_finite", check_finite), boolean("copy_params", copy_params)
    on_cpu = where == "cpu"
    if not (on_cpu or tape):
        raise ArgumentError("tape", "be True, the default, on device='cuda'", "False")
    of_arrays = {"params": params, "x": x, "initial": initial, "signals": signals, "memory": memory}
    given_on_gpu = not on_cpu and resolve_device(None, **of_arrays)[0] == "cuda"
    engine = backend(where, gpu, stream)
    with engine.active():
        if not on_cpu:
            params, initial = engine.to_device("params", params), engine.to_device("initial", initial)
            lengths, reset = engine.to_host("lengths", lengths), engine.to_host("reset", reset)
            signals, memory = engine.to_device("signals", signals), engine.to_device("memory", memory)
            memory_lengths = engine.to_host("memory_lengths", memory_lengths)
            memory_of = engine.to_host("memory_of", memory_of)
            x = engine.to_device("x", x) if check.is_on_device(x) else x
        arrays: Arrays
        own: Arrays
        if isinstance(params, FrozenParams) and params.cell is cell and not tape:
            arrays, dtype, layout = params, params.dtype, params.layout
            flat, own, factors = params.flat, params, params.factors
            if cell.memory or memory is not None:
                layout = cell.layout(layout.input_size, layout.hidden_size, source_size(cell, memory))
        else:
            arrays, dtype, input_size, hidden = check.given_parameters(cell, params)
            layout, factors = cell.layout(input_size, hidden, source_size(cell, memory)), None
            copy = (copy_params and tape) or not on_cpu
            flat, own = own_parameters(engine.verbs, layout, arrays, dtype, engine.xp, copy)
        if tf32 is not False:
            engine.check_tf32(tf32, dtype)
        rounded = engine.check_tape_dtype(tape_dtype, dtype)
        if rounded and cell.memory:
            expected = f"be None for cell {cell.name!r}, which reads a memory"
            raise ArgumentError("tape_dtype", expected, repr(tape_dtype))
        given_x = x
        x, single, autonomous, batch = input_of(x, steps, initial, dtype, layout.input_size, layout)
        T = len(x)
        ends = check.lengths(lengths, T, batch)
        if single and reset is not None and np.ndim(reset) == 1:
            reset = np.asarray(reset)[:, None]
        resets = check.resets(reset, T, batch, ends)
        if not on_cpu:
            engine.require("forward", layout, T, batch, dtype, resets=resets.size > 0, rounded=rounded)
            x, ends, resets = (engine.xp.asarray(a) for a in (x, ends, resets))
        classes = x.ndim == 2
        if classes:
            x = own_classes(x, ends, single, layout.input_size)
            x = x if on_cpu else one_hot(x, layout.input_size, dtype)
        elif tape or layout.signals:
            x = own_input(engine.verbs, x, ends, single)
        else:
            x = input_where_it_lies(engine.verbs, x, ends, single)
        start = state_row("initial", initial, layout, batch, dtype, engine.xp)
        read = memory_of_run(layout, memory, memory_lengths, memory_of, batch, dtype, single, engine.xp)
        # Signals are stored among the values of all steps, so they need a tape, which is dropped after the run.
        if not (tape or layout.signals):
            check.mapping("signals", signals, ())
            kept, finite = engine.verbs.infer(cell, layout, flat, factors, x, start, ends, resets, read)
            if not finite:
                if not classes:
                    check.finite("x", x[:, 0] if single else x)  # not checked before
                if check_finite:  # a run with a tape says where, or finds that only the sum is not finite
                    forward(
                        cell, params, given_x, steps=steps, initial=initial, lengths=lengths, reset=reset,
                        memory=memory, memory_lengths=memory_lengths, memory_of=memory_of,
                    )  # fmt: skip
            bare = without_steps(cell, layout, flat, T, start, ends)
            return Run(bare, own, single, autonomous, (), classes, kept=kept)
        made = new_tape(engine.verbs, cell, layout, flat, x, start, ends, resets, bool(tf32), rounded, read)
        shared = write_signals(cell, layout, made.values, signals, None if autonomous else x, ends, single)
        if not engine.verbs.forward(made) and check_finite and not is_finite(made.after):
            for name, a in arrays.items():  # not looked at before, if there are no copies of them
                check.finite(f"params[{name!r}]", a)
            refuse_not_finite(made)
        if not tape:
            kept = engine.verbs.kept(made, output_slot(cell, layout))
            bare = without_steps(cell, layout, flat, T, start, ends)
            return Run(bare, own, single, autonomous, shared, classes, kept=kept)
        if on_cpu:
            return Run(made, own, single, autonomous, shared, classes)
        # No view of an array of CuPy is read-only: the run has its own copies.
        given = {name: a.copy() if given_on_gpu else engine.verbs.to_host(a) for name, a in own.items()}
        return Run(
            made, given, single, autonomous, shared, classes, engine.device, engine.verbs.to_host, not given_on_gpu,
            engine.index, engine.verbs.mark(), engine.verbs.active,
        )  # fmt: skip
