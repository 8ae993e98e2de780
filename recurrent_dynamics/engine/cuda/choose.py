"""The choice of the walk of a verb: the time of each that fits the device is predicted, and the fastest is taken.

The prediction is a model. A step takes as long as the longest of its arithmetic, shared memory, cache and memory
traffic, plus every barrier, program and read whose latency nothing hides.
"""

from __future__ import annotations

from dataclasses import replace

from ...cells import Cell
from ...cells.layout import Layout
from ...equations.axes import axes
from ...equations.schedule import HIDDEN, OVER_POSITIONS, SCAN, width_labels
from ..stacked_products import stacked_products
from .device_model import COLUMN_THREADS, LANES, ROWS, TILE, TILES, Device, Sizes, Walk
from .tables import scratch_of_means, scratch_of_reads, slices

# In cycles: a barrier of a block, a program of some dozen operations, a read from the device's memory.
BARRIER, PROGRAM, MEMORY = 40, 250, 700
CACHE_WIDTH = 64  # bytes a cycle from the L2 cache to a multiprocessor
LAUNCH, GRID_BARRIER = 5e-6, 1.5e-6  # seconds
# Of a product of cuBLAS: its least time, and the share of peak arithmetic that it reaches for some dozen instances.
# Of a launch: its time in a CUDA graph, and from Python.
PRODUCT, PRODUCT_SHARE = 3e-6, 0.6
CAPTURED, GIVEN = 1.5e-6, 30e-6
CAPTURED_STEPS = 8  # steps of one CUDA graph
# Of a read of a memory: instructions at a position and a unit, about those of a tanh; cycles of a read from L2; how
# many positions a thread reads at once.
READ, CACHE, AT_ONCE = 25, 300, 4
# How often a verb goes over a memory: its programs, and the numbers that it reads or writes.
PROGRAMS, NUMBERS = {"forward": 1, "tangent": 2, "adjoint": 2}, {"forward": 1, "tangent": 2, "adjoint": 3}


def plan_walk(cell: Cell, layout: Layout, verb: str, sizes: Sizes, device: Device) -> Walk:
    """The walk of one verb that should be the fastest; a ValueError where none fits."""
    if layout.reads:
        return _reading(cell, layout, verb, sizes, device)
    if not layout.products:
        return columns(layout, verb, sizes, device)
    found = blocks(cell, layout, verb, sizes, device) + grids(cell, layout, verb, sizes, device)
    if sizes.tf32 or not any(walk.resident for walk in found):
        found += steps(cell, layout, verb, sizes, device)
    if not found:  # a cell of means alone; the walk by steps fits every cell with a product
        raise ValueError(
            f"the {verb} walk of cell {cell.name!r} with {layout.hidden_size} units keeps "
            f"{_in_block(layout, verb, 1, False) * sizes.itemsize} bytes of one instance in the shared memory of a "
            f"block, {device.name} has {device.shared_bytes}; fewer units fit, or device='cpu'"
        )
    return min(found, key=lambda walk: walk.seconds)


def columns(layout: Layout, verb: str, sizes: Sizes, device: Device) -> Walk:
    """A thread for each unit of each instance."""
    widest = max(layout.widths)
    threads = min(device.threads, COLUMN_THREADS)
    e, k = layout.values_size, layout.state_size
    moved = {"forward": e + k, "tangent": 2 * e + 2 * k, "adjoint": 2 * e + 3 * k}[verb]
    count = -(-sizes.batch * widest // threads)
    walk = Walk(verb, "columns", False, count, threads, 1, 0, 0, 0, moved * sizes.batch * sizes.itemsize, 0)
    cycles = PROGRAM + (0 if verb == "forward" else MEMORY)  # the forward pass reads a step ahead
    return _timed(walk, cycles * -(-count // (16 * device.multiprocessors)), sizes, device)


def blocks(cell: Cell, layout: Layout, verb: str, sizes: Sizes, device: Device) -> list[Walk]:
    """A block for each tile of instances: the smallest tile with which all blocks run at once, or the largest."""
    numbers = device.shared_bytes // sizes.itemsize
    largest = next((t for t in TILES if -(-sizes.batch // t) <= device.multiprocessors), TILES[-1])
    for resident in (True, False):
        for tile in [t for t in reversed(TILES) if t <= largest]:
            room = numbers - _in_block(layout, verb, tile, resident)
            if room >= 0:
                return [_block(cell, layout, verb, sizes, device, tile, resident, room)]
    return []


def _in_block(layout: Layout, verb: str, tile: int, resident: bool) -> int:
    """Numbers in the shared memory of a block, without the scratch memory of sliced sums."""
    products = stacked_products(layout)
    e, k, v = layout.values_size, layout.state_size, layout.vectors_size
    row = {"forward": e + 2 * k, "tangent": 2 * e + 3 * k, "adjoint": 2 * e + 3 * k + v}[verb]
    U = max(1, sum(p.size for p in products)) if resident else 0
    return U + tile * row + scratch_of_means(products, tile, LANES)


def _block(
    cell: Cell,
    layout: Layout,
    verb: str,
    sizes: Sizes,
    device: Device,
    tile: int,
    resident: bool,
    room: int,
) -> Walk:
    products, back = stacked_products(layout), verb == "adjoint"
    means = scratch_of_means(products, tile, LANES)
    threads = sizes.threads(device, "block")
    cut = slices(products, back, tile, ROWS, threads, room + means)
    outer = [p.heads * (p.columns if back else p.height) for p in products]
    scratch = max([means, *(n * tile * m for n, m in zip(cut, outer, strict=True) if n > 1)])
    used = _in_block(layout, verb, tile, resident) - means + scratch
    barriers = (
        2 + cell.schedule.stages + sum(1 + (n > 1) for n, p in zip(cut, products, strict=True) if p.size)
    )
    barriers += 2 * len({p.stage for p in products if not p.size})
    numbers, count = sum(p.size for p in products), -(-sizes.batch // tile)
    walk = Walk(
        verb, "block", resident, count, threads, tile, used * sizes.itemsize, barriers, 2 * numbers * sizes.batch,
        _moved(layout, verb, sizes), 0 if resident else numbers * count * sizes.itemsize, slices=tuple(cut),
    )  # fmt: skip
    loads = numbers / ROWS * (ROWS + tile) / 32 * sizes.wide
    through = 0 if resident else numbers * sizes.itemsize / CACHE_WIDTH
    cycles = max(loads, through, numbers * tile / 128 * sizes.wide) + BARRIER * barriers
    cycles += PROGRAM * (cell.schedule.stages + 1) * -(-tile * layout.hidden_size // threads)
    return _timed(walk, cycles * -(-count // device.multiprocessors), sizes, device)


def grids(cell: Cell, layout: Layout, verb: str, sizes: Sizes, device: Device) -> list[Walk]:
    """As many groups of blocks as leave each block's share of U in its shared memory, or one group without."""
    products = stacked_products(layout)
    if len(layout.widths) > 1 or any(p.heads > 1 for p in products):
        return []
    threads = sizes.threads(device, "grid")
    scratch = threads // device.lanes * ROWS * TILE * (device.lanes + 1)
    room = device.shared_bytes // sizes.itemsize - scratch
    of_unit = sum(p.size for p in products) // layout.hidden_size
    found = []
    for groups in range(1, min(sizes.batch, device.multiprocessors) + 1):
        count = min(layout.hidden_size, device.multiprocessors // groups)
        share = of_unit * -(-layout.hidden_size // count)
        if 0 <= share <= room:
            found.append(_grid(cell, layout, verb, sizes, device, groups, count, share, scratch))
    if not found and room >= 0:
        count = min(layout.hidden_size, device.multiprocessors)
        found = [_grid(cell, layout, verb, sizes, device, 1, count, 0, scratch)]
    return found


def _grid(
    cell: Cell,
    layout: Layout,
    verb: str,
    sizes: Sizes,
    device: Device,
    groups: int,
    count: int,
    share: int,
    scratch: int,
) -> Walk:
    """`groups` of `count` blocks, with a share of U (0: none) in shared memory."""
    products, back, wide = stacked_products(layout), verb == "adjoint", sizes.wide
    own, instances = -(-layout.hidden_size // count), -(-sizes.batch // groups)
    threads, stages, H = sizes.threads(device, "grid"), cell.schedule.stages, layout.hidden_size
    shapes = [(p.columns, p.height) if back else (p.height, p.columns) for p in products if p.size]
    rows = [own * outer // H for outer, _ in shapes]
    work = sum(r * n for r, (_, n) in zip(rows, shapes, strict=True))
    items = [-(-r // ROWS) * -(-instances // TILE) for r in rows] + [
        instances for p in products if not p.size
    ]
    barriers = sum(2 * -(-n * device.lanes // threads) for n in items) + stages + 1
    read = (sum(n for _, n in shapes) * instances + (0 if share else work)) * sizes.itemsize
    walk = Walk(
        verb, "grid", share > 0, groups * count, threads, instances, (scratch + share) * sizes.itemsize, barriers,
        2 * sum(p.size for p in products) * sizes.batch, _moved(layout, verb, sizes), read * groups * count,
        groups=groups,
        grid_barriers=stages if back else 1 + len({p.stage for p in products if not p.from_state}),
    )  # fmt: skip
    loads = work * instances / (ROWS * TILE) * (ROWS + TILE) / 32 * wide + 2 * sum(rows) * instances * wide
    cycles = max(loads, read / CACHE_WIDTH, work * instances / 128 * wide) + BARRIER * barriers
    cycles += (stages + 1) * (MEMORY + PROGRAM * -(-instances * own // threads))
    return _timed(walk, cycles, sizes, device)


def steps(cell: Cell, layout: Layout, verb: str, sizes: Sizes, device: Device) -> list[Walk]:
    """A kernel for each stage that ends in products, between those of cuBLAS; one block for each instance."""
    products = stacked_products(layout)
    multiplied = [p for p in products if p.size]
    if not (multiplied or layout.reads):
        return []
    threads = sizes.threads(device, "reads" if layout.reads else "block")
    shared = max(scratch_of_means(products, 1, LANES), scratch_of_reads(cell, threads)) * sizes.itemsize
    kernels = len({p.stage for p in multiplied}) or 1
    count = len(multiplied) + kernels
    flops = [2 * p.size * sizes.batch for p in multiplied]
    reads = [p.size * sizes.itemsize for p in multiplied]
    peak = device.tf32_flops if sizes.tf32 else device.flops[sizes.wide - 1]
    step = sum(
        PRODUCT + max(n / (PRODUCT_SHARE * peak), read / device.bandwidth)
        for n, read in zip(flops, reads, strict=True)
    )
    moved, (read_cycles, waits, numbers) = (
        _moved(layout, verb, sizes),
        _reads(cell, layout, verb, sizes, threads),
    )
    cycles = (MEMORY + PROGRAM * -(-max(layout.widths) // threads)) * (cell.schedule.stages + 1) + read_cycles
    read_bytes = NUMBERS[verb] * numbers * sizes.batch * sizes.itemsize
    step += max(
        moved / device.bandwidth,
        read_bytes / device.cache_bandwidth,
        cycles * -(-sizes.batch // device.multiprocessors) / device.clock,
    )
    captured = CAPTURED_STEPS if step < GIVEN * count and sizes.steps > 2 * CAPTURED_STEPS else 0
    step += CAPTURED * count
    barriers = 2 * kernels + cell.schedule.stages + 1 + 2 * len({p.stage for p in products if not p.size})
    flops.append(2 * PROGRAMS[verb] * numbers * sizes.batch)
    walk = Walk(
        verb, "steps", False, sizes.batch, threads, 1, shared, barriers + waits, sum(flops), moved,
        sum(reads) + read_bytes,
        launches=count, captured=captured,
    )  # fmt: skip
    each = step if captured else max(step, GIVEN * count)
    return [replace(walk, seconds=sizes.steps * each + LAUNCH)]


def _reading(cell: Cell, layout: Layout, verb: str, sizes: Sizes, device: Device) -> Walk:
    """The walk of a cell that reads a memory: by steps alone."""
    walk = steps(cell, layout, verb, sizes, device)[0]
    if walk.shared_bytes > device.shared_bytes:
        raise ValueError(
            f"the {verb} walk of cell {cell.name!r} keeps {walk.shared_bytes} bytes of sums over units in the shared "
            f"memory of a block, {device.name} has {device.shared_bytes}; device='cpu' takes such a score"
        )
    return walk


def _reads(cell: Cell, layout: Layout, verb: str, sizes: Sizes, threads: int) -> tuple[float, int, int]:
    """Of a step of one instance: cycles and barriers of its reads, numbers of the memory that they go over."""
    nodes, size = cell.schedule.graph.nodes, dict(zip(width_labels(cell), layout.widths, strict=True))
    S, at_once = layout.source_size, max(1, threads // LANES)
    cycles, waits, numbers = 0.0, 0, 0
    for read in cell.schedule.reads:
        if read.value is None:  # a softmax or shift by all threads, a scan by one
            waits += 4
            cycles += S * CACHE / 10 if read.kind == SCAN else 2 * CACHE
            continue
        units = size[axes(nodes[read.value].width)[1] or HIDDEN]
        numbers += S * units
        cycles += PROGRAMS[verb] * READ * S * units / 128 * sizes.wide
        along = (read.kind == OVER_POSITIONS) == (
            verb != "adjoint"
        )  # whether a thread goes along the positions
        waits += 1 if along else 2 * -(-S // at_once)
        cycles += (
            CACHE * -(-S // (AT_ONCE if along else at_once)) * -(-units // (threads if along else 8 * LANES))
        )
    return cycles + BARRIER * waits, waits, numbers


def _moved(layout: Layout, verb: str, sizes: Sizes) -> int:
    """Bytes that a step reads and writes of the tape."""
    e, k = layout.values_size, layout.state_size
    row = {"forward": 2 * e + k, "tangent": 3 * e + 2 * k, "adjoint": 2 * e + 3 * k}[verb]
    return row * sizes.batch * sizes.itemsize


def _timed(walk: Walk, cycles: float, sizes: Sizes, device: Device) -> Walk:
    """The walk with its time: the cycles of a step, unless all blocks together take longer at one thing."""
    step = max(
        cycles / device.clock,
        walk.memory_bytes / device.bandwidth,
        walk.cache_bytes / device.cache_bandwidth,
        walk.flops / device.flops[sizes.wide - 1],
    )
    return replace(walk, seconds=sizes.steps * (step + walk.grid_barriers * GRID_BARRIER) + LAUNCH)
