"""How a cell walks through time on a device, asked without one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from ...cells import Cell
from ...cells.declarations import natural, positive_integer
from ...checks import ArgumentError, ArgumentTypeError
from .choose import plan_walk
from .device_model import H200, Device, Sizes, Walk
from .footprint import needed

VERBS = ("forward", "tangent", "adjoint")


@dataclass(frozen=True)
class Plan:
    """How a cell of given sizes walks through time on a device; `plan` makes one.

    Attributes
    ----------
    cell
        Its name.
    sizes, device
        What was planned for.
    walks
        By verb: "forward", "tangent", "adjoint".
    memory
        By verb, bytes of device memory: of the run, and what its tangent or its gradients take besides.
    positions
        S of the memory that the cell reads; 0 for a cell that reads none.
    """

    cell: str
    sizes: Sizes
    device: Device
    walks: dict[str, Walk]
    memory: dict[str, int]
    positions: int = 0

    def __str__(self) -> str:
        s = self.sizes
        own = "in TF32" if s.tf32 else f"in float{8 * s.itemsize}"
        lines = [
            f"{self.cell} on {self.device.name}: T = {s.steps}, B = {s.batch}, N = {s.input_size}, "
            f"H = {s.hidden_size}, {f'S = {self.positions}, ' if self.positions else ''}float{8 * s.itemsize}"
        ]
        for walk in self.walks.values():
            where = {"columns": "", "steps": f" around products of cuBLAS {own}"}.get(
                walk.kind, " with U in shared memory" if walk.resident else " with U in L2"
            )
            if walk.kind == "steps":
                where += f", {walk.launches} launches a step"
                where += f", {walk.captured} steps in a graph" if walk.captured else ""
            groups = f" in {walk.groups} groups" if walk.groups > 1 else ""
            lines.append(
                f"{walk.verb}: {walk.kind}{where}, {walk.blocks} blocks{groups} of {walk.threads} threads and "
                f"{walk.shared_bytes} bytes, {walk.barriers} + {walk.grid_barriers} barriers a step, "
                f"{1e6 * walk.seconds / s.steps:.2f} microseconds a step predicted"
            )
        lines.append(f"input and gradients: products of cuBLAS for all steps at once, {own}")
        gigabytes = {verb: f"{size / 1e9:.3g} GB" for verb, size in self.memory.items()}
        lines.append(
            f"memory: {gigabytes['forward']}, besides {gigabytes['tangent']} for a tangent, {gigabytes['adjoint']} for "
            "gradients"
        )
        return "\n".join(lines)


def plan(
    cell: Cell,
    sizes: tuple[int, int, int, int],
    dtype: DTypeLike = "float32",
    device: Device = H200,
    tf32: bool = False,
    tape_dtype: str | None = None,
    positions: int | None = None,
) -> Plan:
    """How a cell would walk through time on a CUDA device, without one.

    Parameters
    ----------
    cell
        The equations.
    sizes
        (T, B, N, H): steps, instances, inputs, units.
    dtype
        float32 or float64.
    device
        What to plan for: an H200 unless given.
    tf32
        Whether cuBLAS multiplies in TF32, as `forward` is told.
    tape_dtype
        "bfloat16" for drives that are kept so, as `forward` is told.
    positions
        S, the positions of its memory, of a cell that reads one.

    Returns
    -------
    Plan
        With a `Walk` for "forward", "tangent" and "adjoint"; printed, a line for each.

    Raises
    ------
    ValueError
        A size is wrong, TF32 or bfloat16 of float64, or no walk fits the device: says how much one needs and what there
        is.
    TypeError
        Another dtype.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> plan = rd.engine.plan(rd.cells.lstm(), (1000, 16, 64, 100))
    >>> walk = plan.walks["forward"]
    >>> walk.kind, walk.resident, walk.blocks, walk.shared_bytes
    ('block', True, 16, 168000)
    >>> rd.engine.plan(rd.cells.indrnn(), (4096, 8, 64, 256)).walks["adjoint"].kind
    'columns'
    """
    if not isinstance(sizes, tuple | list) or len(sizes) != 4:
        raise ArgumentError("sizes", "be (T, B, N, H)", repr(sizes))
    T, B, H = (positive_integer(n, s) for n, s in zip("TBH", (*sizes[:2], sizes[3]), strict=True))
    N = natural("N", sizes[2])
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ArgumentTypeError("dtype", "be float32 or float64", np.dtype(dtype))
    if tf32 and np.dtype(dtype) != np.float32:
        raise ArgumentError("tf32", "be False for other dtypes than float32", f"True and {np.dtype(dtype)}")
    source = _source_size(cell, positions)
    layout, of = cell.layout(N, H, source), Sizes(T, B, N, H, np.dtype(dtype).itemsize, tf32)
    rounded = tape_dtype == "bfloat16"
    if tape_dtype is not None and not (rounded and np.dtype(dtype) == np.float32):
        raise ArgumentError(
            "tape_dtype", "be None, or 'bfloat16' of float32", f"{tape_dtype!r} of {np.dtype(dtype)}"
        )
    if rounded and cell.memory:
        raise ArgumentError(
            "tape_dtype", f"be None for cell {cell.name!r}, which reads a memory", repr(tape_dtype)
        )
    memory = {verb: needed(layout, of, verb, rounded=rounded) for verb in VERBS}
    return Plan(
        cell.name,
        of,
        device,
        {verb: plan_walk(cell, layout, verb, of, device) for verb in VERBS},
        memory,
        source,
    )


def _source_size(cell: Cell, positions: int | None) -> int:
    if not cell.memory:
        if positions is not None:
            raise ArgumentError(
                "positions", f"be None for cell {cell.name!r}, which reads no memory", positions
            )
        return 0
    if positions is None:
        raise ArgumentError("positions", f"be given for cell {cell.name!r}, which reads a memory", "None")
    return positive_integer("positions", positions)
