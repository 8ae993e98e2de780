"""Peak memory of forward and backward above what was there before, each library in a process of its own.

``python -m peer_tables.memory ours lstm 100 64 256 256`` prints the bytes of one such process.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from . import contestants
from .comparison import PYTORCH, Comparison, Size, text

SIZES: list[Size] = [(100, 64, 256, 256), (1000, 16, 64, 128)]
SMALL: Size = (2, 2, 3, 4)


def memory(comparison: Comparison) -> None:
    """Parameters, input and the gradient of the output are there before; all else that is ever held counts."""
    peers = ["ours", "PyTorch"] if PYTORCH else ["ours"]
    title = "Peak memory of forward and backward, float32, MB"
    comparison.table(
        "memory", title, ["cell", "T, B, N, H"], peers + (["PyTorch over ours"] if PYTORCH else [])
    )
    for name in comparison.cells:
        contestants.plain(name, SMALL)["ours"]().both()  # a compiler's memory is not the passes'
        for size in comparison.sizes(SIZES):
            used = [1e-6 * _in_a_process(peer, name, size) for peer in peers]
            comparison.row([name, text(size)], [*used, used[1] / used[0]] if PYTORCH else used)


def _in_a_process(peer: str, name: str, size: Size) -> int:
    command = [sys.executable, "-m", "peer_tables.memory", peer, name, *map(str, size)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True, text=True
    )
    return int(done.stdout)


def _measure(peer: str, name: str, size: Size) -> int:
    """Bytes."""
    contestants.plain(name, SMALL)[peer]().both()  # loads the code and starts the threads
    racer = contestants.plain(name, size)[peer]()
    gc.collect()
    before = _reset_peak()
    racer.both()
    return _peak() - before


def _reset_peak() -> int:
    """Let the peak be the present memory, where the system can (Linux); return the peak."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return _peak()


def _peak() -> int:
    """Bytes, the largest resident memory so far."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


if __name__ == "__main__":
    import os

    if PYTORCH:
        contestants.torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    print(_measure(sys.argv[1], sys.argv[2], tuple(map(int, sys.argv[3:]))))
