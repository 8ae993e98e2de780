"""What the model of ``plan`` counts and predicts for an H200, as tables: ``predicted-walks``.

With the argument "forward" or "adjoint", that walk of every case; with "reach", what ``benchmarks/gpu.py`` wants of the
device. The numbers are those of the code that the page is built with, so that they need no copying.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell

HEADER = [
    "cell",
    "B",
    "H",
    "walk",
    "Mflop",
    "kB of memory",
    "kB of L2",
    "barriers",
    "of the grid",
    "launches",
    "µs",
]
WANTED = ["what", "goal", "predicted"]


READER = "additive attention, T = S = 50"


def planned(cell: Cell, sizes: tuple[int, int, int, int], dtype: str) -> rd.engine.Plan:
    """The plan; a cell that reads a memory has 50 positions."""
    return rd.engine.plan(cell, sizes, dtype, positions=50 if cell.memory else None)


def cases() -> list[tuple[str, Cell, str, tuple[int, int, int, int]]]:
    """What is printed, the cell, its dtype and (T, B, N, H): those that ``benchmarks/gpu.py`` times."""
    lstm, gru, normalized = rd.cells.lstm(), rd.cells.gru(), rd.cells.lstm().with_normalization()
    return [
        ("IndRNN", rd.cells.indrnn(), "float32", (4096, 8, 256, 256)),
        ("LSTM", lstm, "float32", (1000, 16, 64, 32)),
        ("LSTM", lstm, "float32", (1000, 16, 64, 116)),
        ("LSTM", lstm, "float32", (1000, 64, 256, 256)),
        ("LSTM", lstm, "float32", (1000, 64, 512, 512)),
        ("LSTM", lstm, "float32", (1000, 64, 512, 2048)),
        ("GRU", gru, "float32", (1000, 64, 256, 256)),
        ("GRU", gru, "float32", (1000, 64, 512, 512)),
        ("LSTM, float64", lstm, "float64", (1000, 64, 128, 128)),
        ("LSTM, float64", lstm, "float64", (1000, 64, 512, 512)),
        ("normalized LSTM", normalized, "float32", (1000, 64, 256, 256)),
        (READER, rd.cells.attention(lstm), "float32", (50, 64, 256, 256)),
    ]


def rows(verb: str) -> list[list[str]]:
    """The lines of the table for a verb, of a step: operations, bytes, barriers, launches, microseconds."""
    lines = []
    for name, cell, dtype, sizes in cases():
        walk = planned(cell, sizes, dtype).walks[verb]
        numbers = (walk.flops / 1e6, walk.memory_bytes / 1e3, walk.cache_bytes / 1e3)
        waits = (str(walk.barriers), str(walk.grid_barriers), str(walk.launches or "1 in all"))
        time = f"{1e6 * walk.seconds / sizes[0]:.2f}"
        lines.append([name, str(sizes[1]), str(sizes[3]), walk.kind, *map(shown, numbers), *waits, time])
    return lines


def reach() -> list[list[str]]:
    """What is wanted of an H200, and what the model says of it."""
    small, columns = ("LSTM", 16, 116), ("IndRNN", 8, 256)
    of = {(name, size[1], size[3]): (cell, dtype, size) for name, cell, dtype, size in cases()}
    lines = []
    cell, dtype, size = of[small]
    step = 1e6 * rd.engine.plan(cell, size, dtype).walks["forward"].seconds / size[0]
    lines.append(["LSTM, B = 16, H = 116, forward", "at most 2 µs a step", f"{step:.2f} µs"])
    cell, dtype, size = of[columns]
    lines.append(
        ["IndRNN, T = 4096, B = 8, H = 256, forward", "under 1 ms", f"{forward(cell, size, dtype):.2f} ms"]
    )
    for (name, batch, hidden), (cell, dtype, size) in of.items():
        if batch == 64 and hidden <= 512:
            times = {
                "normalized LSTM": "a 20th of a loop, a 5th of torch.compile",
                "GRU": "cuDNN / 1.2",
                "LSTM, float64": "cuDNN / 2",
                READER: "a 10th of a loop",
            }
            wanted = times.get(name, "cuDNN")
            lines.append(
                [f"{name}, B = 64, H = {hidden}, both ways", wanted, f"{both(cell, size, dtype):.1f} ms"]
            )
    return lines


def forward(cell: Cell, size: tuple[int, int, int, int], dtype: str) -> float:
    """Milliseconds: the walk, and W X at the peak."""
    T, B, N, H = size
    peak = rd.engine.Device("H200").flops[dtype == "float64"]
    product = 2 * T * B * N * cell.layout(N, H).input_rows / peak
    return 1e3 * (planned(cell, size, dtype).walks["forward"].seconds + product)


def both(cell: Cell, size: tuple[int, int, int, int], dtype: str) -> float:
    """Milliseconds: the walks, and W X, dW, dX, dU at the peak."""
    T, B, N, H = size
    layout, peak = cell.layout(N, H), rd.engine.Device("H200").flops[dtype == "float64"]
    products = 2 * T * B * (2 * N * layout.input_rows + layout.matrices_size) / peak  # dW and dX; dU
    back = planned(cell, size, dtype).walks["adjoint"].seconds + products
    return forward(cell, size, dtype) + 1e3 * back


def shown(number: float) -> str:
    """Three digits, or all before the point."""
    return f"{number:,.0f}" if number >= 100 or not number else f"{number:.3g}"


class PredictedWalks(SphinxDirective):
    """``.. predicted-walks:: forward``, or ``adjoint``, or ``reach``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        which = self.arguments[0]
        header, lines = (WANTED, reach()) if which == "reach" else (HEADER, rows(which))
        table = nodes.table()
        group = nodes.tgroup(cols=len(header))
        group += [nodes.colspec(colwidth=1) for _ in header]
        head, body = nodes.thead(), nodes.tbody()
        head += _row(header)
        body += [_row(line) for line in lines]
        group += [head, body]
        table += group
        return [table]


def _row(texts: list[str]) -> nodes.row:
    row = nodes.row()
    for text in texts:
        entry = nodes.entry()
        entry += nodes.paragraph(text=text)
        row += entry
    return row


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("predicted-walks", PredictedWalks)
    return {"parallel_read_safe": True}
