"""The model of a device and of a planned walk: the numbers that decide which walk is taken."""

from __future__ import annotations

from dataclasses import dataclass

ROWS = 4  # of a product's result that a thread takes: see `block_products`
TILE = 4  # instances that a warp takes for so many rows: see `grid_kernels`
LANES = 32  # partial sums of a mean: see `block_products`
TILES = (1, 2, 4)  # instances of a block: of 8, sums do not all find a register on compute capability 8.0
COLUMN_THREADS = 128  # of a block that walks by columns
# Of a thread, by walk and the bytes of a number. A multiprocessor has 65536; kernels that need more of them, and those
# of doubles, which take two each, have fewer threads; so have kernels that read a memory.
REGISTERS = {
    "block": {4: 168, 8: 255}, "columns": {4: 128, 8: 255}, "grid": {4: 200, 8: 255}, "reads": {4: 255, 8: 255},
}  # fmt: skip


@dataclass(frozen=True)
class Device:
    """The properties of a device that decide how kernels run on it.

    Attributes
    ----------
    name
        For people.
    multiprocessors
        How many blocks run at once.
    shared_bytes
        The largest shared memory of a block.
    threads
        Threads of a block. Kernels use only as many as find registers: three quarters, on a grid five eighths, for
        float64 and for reads of a memory half.
    lanes
        Threads of a warp.
    flops, tf32_flops
        Floating-point operations a second, without tensor cores: float32, float64; and of products in TF32.
    bandwidth, cache_bandwidth
        Bytes a second from the device's memory, and from its L2 cache to all multiprocessors.
    clock
        Cycles a second.
    capability
        NVIDIA's "compute capability"; TF32 begins with 8.0.
    """

    name: str
    multiprocessors: int = 132
    shared_bytes: int = 232448
    threads: int = 512
    lanes: int = 32
    flops: tuple[float, float] = (67e12, 34e12)
    tf32_flops: float = 494e12
    bandwidth: float = 4.8e12
    cache_bandwidth: float = 5.5e12
    clock: float = 1.98e9
    capability: tuple[int, int] = (9, 0)


H200 = Device("H200")


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run: T steps, B instances, N inputs, H units, the bytes of a number, products in TF32 or not."""

    steps: int
    batch: int
    input_size: int
    hidden_size: int
    itemsize: int
    tf32: bool = False

    def threads(self, device: Device, kind: str) -> int:
        """The number of threads, in whole warps, for which there are enough registers in kernels of this kind."""
        eighths = 4 if self.wide == 2 else {"block": 6, "grid": 5, "reads": 4}[kind]
        return max(1, device.threads * eighths // 8 // device.lanes) * device.lanes

    @property
    def wide(self) -> int:
        """A double takes two turns of the shared memory and of the arithmetic."""
        return self.itemsize // 4


@dataclass(frozen=True)
class Walk:
    """How one verb goes through time.

    Attributes
    ----------
    verb
        "forward", "tangent" or "adjoint".
    kind
        "columns": a thread takes one unit of one instance, nothing waits. "block": a block of threads takes `tile`
        instances. "grid": the blocks of a group share the units of `tile` instances. These take all steps in one
        launch. "steps": a launch for each stage of a step, between the products of cuBLAS.
    resident
        Whether U, or a block's share of it, stays in shared memory.
    blocks, threads, tile, shared_bytes
        The launch.
    barriers, grid_barriers
        Of a block and of all blocks, a step.
    flops, memory_bytes, cache_bytes
        A step, of the whole batch: floating-point operations of the products and of sums over a memory, bytes to and
        from the device's memory, and of U, states and memories that come through the L2 cache.
    seconds
        Predicted for the whole walk.
    slices
        Of a block: into how many slices each product cuts its sums.
    groups
        Of a grid: how many there are, each with a share of the instances.
    launches
        Of kernels and of products by cuBLAS, a step; 0 where one launch takes all steps.
    captured
        Steps in one CUDA graph that is launched again and again; 0 where the launches take less time than the step.
    """

    verb: str
    kind: str
    resident: bool
    blocks: int
    threads: int
    tile: int
    shared_bytes: int
    barriers: int
    flops: int
    memory_bytes: int
    cache_bytes: int
    seconds: float = 0.0
    slices: tuple[int, ...] = ()
    groups: int = 1
    grid_barriers: int = 0
    launches: int = 0
    captured: int = 0
