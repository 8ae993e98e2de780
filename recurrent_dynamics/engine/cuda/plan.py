"""Which walk a cell takes through time on a device, what it needs there, and how long it should take by counting.

No GPU is needed to ask: `H200` describes one. The counts are a model, and a prediction until it is compared with
measurements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from ...cells import Cell
from ...cells.declarations import natural, positive_integer
from ...cells.layout import Layout
from .tables import merged, scratch_of_means, slices


@dataclass(frozen=True)
class Device:
    """What of a device decides how kernels run on it.

    Attributes
    ----------
    name
        For people.
    multiprocessors
        How many blocks run at once.
    shared_bytes
        The largest shared memory of a block.
    threads
        Threads of a block that the kernels use at most; half of them for float64.
    flops
        Floating-point operations a second, without tensor cores: float32, float64.
    bandwidth, cache_bandwidth
        Bytes a second from the device's memory, and from its L2 cache to all multiprocessors.
    clock
        Cycles a second.
    """

    name: str
    multiprocessors: int = 132
    shared_bytes: int = 232448
    threads: int = 512
    flops: tuple[float, float] = (67e12, 34e12)
    bandwidth: float = 4.8e12
    cache_bandwidth: float = 5.5e12
    clock: float = 1.98e9


H200 = Device("H200")

ROWS = 4  # of a product's result that a thread takes: see `products`
LANES = 32  # partial sums of a mean
TILES = (1, 2, 4, 8)  # instances of a block
COLUMN_THREADS = 128  # of a block that walks by columns
# Of a thread, by the bytes of a number. A multiprocessor has 65536: doubles take two each, and blocks half the threads.
REGISTERS = {4: 128, 8: 255}


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run: T steps, B instances, N inputs, H units, and the bytes of a number."""

    steps: int
    batch: int
    input_size: int
    hidden_size: int
    itemsize: int


@dataclass(frozen=True)
class Walk:
    """How one verb goes through time.

    Attributes
    ----------
    verb
        "forward", "tangent" or "adjoint".
    kind
        "columns": a thread takes one unit of one instance, nothing waits. "block": a block of threads takes `tile`
        instances. Both take all steps in one launch.
    resident
        Whether U stays in the shared memory of every block.
    blocks, threads, tile, shared_bytes
        The launch.
    slices
        Into how many slices each product cuts its sums.
    barriers
        Of a block, a step.
    flops, memory_bytes, cache_bytes
        A step, of the whole batch: floating-point operations of the products, bytes to and from the device's memory,
        and of U where it comes through the L2 cache.
    seconds
        Predicted for the whole walk.
    """

    verb: str
    kind: str
    resident: bool
    blocks: int
    threads: int
    tile: int
    shared_bytes: int
    slices: tuple[int, ...]
    barriers: int
    flops: int
    memory_bytes: int
    cache_bytes: int
    seconds: float


def plan_walk(cell: Cell, layout: Layout, verb: str, sizes: Sizes, device: Device) -> Walk:
    """The walk of one verb; a ValueError where not even one instance fits a block."""
    if not layout.products:
        return _columns(layout, verb, sizes, device)
    items = device.shared_bytes // sizes.itemsize
    least = next((t for t in TILES if -(-sizes.batch // t) <= device.multiprocessors), TILES[-1])
    for resident in (True, False):
        for tile in [t for t in reversed(TILES) if t <= least]:
            need = shared_numbers(layout, verb, tile, resident)
            if need <= items:
                return _block(cell, layout, verb, sizes, device, tile, resident, items - need)
    raise ValueError(
        f"the {verb} walk of cell {cell.name!r} with {layout.hidden_size} units keeps "
        f"{shared_numbers(layout, verb, 1, False) * sizes.itemsize} bytes of one instance in the shared memory of a "
        f"block, {device.name} has {device.shared_bytes}; fewer units fit, or device='cpu'"
    )


def shared_numbers(layout: Layout, verb: str, tile: int, resident: bool) -> int:
    """Numbers in the shared memory of a block, without the scratch memory of sliced sums."""
    products = merged(layout)
    e, k, v = layout.values_size, layout.state_size, layout.vectors_size
    row = {"forward": e + 2 * k, "tangent": 2 * e + 3 * k, "adjoint": 2 * e + 3 * k + v}[verb]
    U = max(1, sum(p.size for p in products)) if resident else 0
    return U + tile * row + scratch_of_means(products, tile, LANES)


def _block(
    cell: Cell, layout: Layout, verb: str, sizes: Sizes, device: Device, tile: int, resident: bool, room: int
) -> Walk:
    products, back = merged(layout), verb == "adjoint"
    means = scratch_of_means(products, tile, LANES)
    threads = device.threads * 4 // sizes.itemsize
    cut = slices(products, back, tile, ROWS, threads, room + means)
    outer = [p.heads * (p.columns if back else p.height) for p in products]
    scratch = max([means, *(n * tile * m for n, m in zip(cut, outer, strict=True) if n > 1)])
    used = shared_numbers(layout, verb, tile, resident) - means + scratch
    stages = cell.schedule.stages
    barriers = 2 + stages + sum(1 + (n > 1) for n, p in zip(cut, products, strict=True) if p.size)
    barriers += 2 * len({p.stage for p in products if not p.size})
    numbers = sum(p.size for p in products)
    e, k = layout.values_size, layout.state_size
    moved = {"forward": 2 * e + k, "tangent": 3 * e + 2 * k, "adjoint": 2 * e + 3 * k}[verb]
    blocks = -(-sizes.batch // tile)
    walk = Walk(
        verb, "block", resident, blocks, threads, tile, used * sizes.itemsize, tuple(cut), barriers,
        2 * numbers * sizes.batch, moved * sizes.batch * sizes.itemsize,
        0 if resident else numbers * blocks * sizes.itemsize, 0.0,
    )  # fmt: skip
    return replace(walk, seconds=_seconds(walk, numbers, sizes, device))


def _columns(layout: Layout, verb: str, sizes: Sizes, device: Device) -> Walk:
    widest = max(layout.widths)
    threads = min(device.threads, COLUMN_THREADS)
    e, k = layout.values_size, layout.state_size
    moved = {"forward": e + k, "tangent": 2 * e + 2 * k, "adjoint": 2 * e + 3 * k}[verb]
    walk = Walk(
        verb, "columns", False, -(-sizes.batch * widest // threads), threads, 1, 0, (), 0, 0,
        moved * sizes.batch * sizes.itemsize, 0, 0.0,
    )  # fmt: skip
    return replace(walk, seconds=_seconds(walk, 0, sizes, device))


# Of the model, in cycles: a barrier of a block, a program of some dozen operations, a read from the device's memory.
BARRIER, PROGRAM, MEMORY = 40, 250, 700
CACHE_WIDTH = 64  # bytes a cycle from the L2 cache to a multiprocessor
LAUNCH = 5e-6  # seconds


def _seconds(walk: Walk, numbers: int, sizes: Sizes, device: Device) -> float:
    """The longest of what a step must do with memory, caches, arithmetic, or, of one block, what it waits for."""
    wide = sizes.itemsize // 4  # a double takes two turns of the shared memory and of the arithmetic
    waves = -(-walk.blocks // device.multiprocessors)
    cycles = float(PROGRAM + BARRIER * walk.barriers)
    if (walk.kind, walk.verb) != ("columns", "forward"):  # which reads a step ahead
        cycles += MEMORY
    if walk.kind == "block":
        loads = numbers / ROWS * (ROWS + walk.tile) / 32 * wide
        through = 0 if walk.resident else numbers * sizes.itemsize / CACHE_WIDTH
        cycles += max(loads, through, numbers * walk.tile / 128 * wide)
        cycles *= waves
    seconds = max(
        cycles / device.clock,
        walk.memory_bytes / device.bandwidth,
        walk.cache_bytes / device.cache_bandwidth,
        walk.flops / device.flops[wide - 1],
    )
    return sizes.steps * seconds + LAUNCH


@dataclass(frozen=True)
class Plan:
    """How a cell of given sizes walks through time on a device; `plan` makes one."""

    cell: str
    sizes: Sizes
    device: Device
    walks: dict[str, Walk]

    def __str__(self) -> str:
        s = self.sizes
        lines = [
            f"{self.cell} on {self.device.name}: T = {s.steps}, B = {s.batch}, N = {s.input_size}, "
            f"H = {s.hidden_size}, float{8 * s.itemsize}"
        ]
        for walk in self.walks.values():
            where = (
                ""
                if walk.kind == "columns"
                else ", U in shared memory"
                if walk.resident
                else ", U through L2"
            )
            lines.append(
                f"{walk.verb}: {walk.kind}{where}, {walk.blocks} blocks of {walk.threads} threads, "
                f"{walk.shared_bytes} bytes shared, {walk.barriers} barriers a step, "
                f"{1e6 * walk.seconds / s.steps:.2f} microseconds a step predicted"
            )
        return "\n".join(lines)


def plan(
    cell: Cell, sizes: tuple[int, int, int, int], dtype: DTypeLike = "float32", device: Device = H200
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

    Returns
    -------
    Plan
        With a `Walk` for "forward", "tangent" and "adjoint"; printed, a line for each.

    Raises
    ------
    ValueError
        Not even one instance fits a block: says how much it needs and what there is.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> plan = rd.engine.plan(rd.cells.lstm(), (1000, 16, 64, 100))
    >>> walk = plan.walks["forward"]
    >>> walk.kind, walk.resident, walk.blocks, walk.shared_bytes
    ('block', True, 16, 171200)
    """
    names = ("T", "B", "N", "H")
    if len(sizes) != 4:
        raise ValueError(f"sizes must be (T, B, N, H), came {sizes!r}")
    T, B, N, H = (
        natural(n, s) if n == "N" else positive_integer(n, s) for n, s in zip(names, sizes, strict=True)
    )
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, came {np.dtype(dtype)}")
    layout = cell.layout(N, H)
    of = Sizes(T, B, N, H, np.dtype(dtype).itemsize)
    verbs = ("forward", "tangent", "adjoint")
    return Plan(cell.name, of, device, {v: plan_walk(cell, layout, v, of, device) for v in verbs})
