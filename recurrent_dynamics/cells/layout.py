"""Where everything of a cell stands in memory, for given sizes.

The values of one step of one instance are one row: `[pre-activations with an input | others | computed operands |
signals]`. The state is a second row, `[slot | slot | ...]`. All per-unit vectors are a third one, common to all
steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError
from ..equations.axes import SOURCE
from ..equations.schedule import HIDDEN, LEAVES, Schedule, is_direct, operand_name, width_labels
from ..kernels.lazy import cached_property
from .tying import drives_of, products_of, tied_to, vector_owner

LINE = 16  # float32 of a line of the cache


@dataclass(frozen=True)
class Span:
    """A named stretch of a row."""

    name: str
    offset: int
    width: int


@dataclass(frozen=True)
class PreactivationSpan(Span):
    """The place of a pre-activation in a row, and whether W and a bias are added to it."""

    drive: str = ""
    input: bool = False
    bias: str | None = None


@dataclass(frozen=True)
class ProductSpan:
    """A product with its places: target += M operand, M one block (rows, columns) for each head."""

    stage: int
    from_state: bool  # the operand lies in the state, else in the values
    source: Span
    target: Span
    heads: int
    parameter: str | None  # None: the mean
    offset: int  # of its entries in the vector of all matrices

    @property
    def rows(self) -> int:
        return self.target.width // self.heads

    @property
    def columns(self) -> int:
        return self.source.width // self.heads


@dataclass(frozen=True)
class ReadSpan:
    """A read of a memory with the places that it reads and writes; `sources` are (in the state, span)."""

    stage: int
    kind: str
    sources: tuple[tuple[bool, Span], ...]
    target: Span


@dataclass(frozen=True, eq=False)
class Layout:
    """See the module. `of` makes one."""

    input_size: int
    hidden_size: int
    widths: tuple[int, ...]  # sizes of the labels, in the order of `width_labels`
    values: tuple[Span, ...]  # preactivations, computed operands, signals
    preactivations: tuple[PreactivationSpan, ...]
    signals: tuple[Span, ...]
    slots: tuple[Span, ...]
    vectors: tuple[Span, ...]
    products: tuple[ProductSpan, ...]
    reads: tuple[ReadSpan, ...]
    memory: tuple[Span, ...]  # the memories, side by side
    source_size: int  # positions of a memory
    matrices: dict[str, list[tuple[int, int]]]  # parameter -> blocks (rows, columns), stacked
    vector_parameters: dict[str, list[Span]]  # parameter -> per-unit vectors, stacked
    biases: dict[str, list[PreactivationSpan]]
    # Copies for tied drives, (to, from, entries): in the vector of all matrices, and in the row of per-unit vectors.
    tied_matrices: tuple[tuple[int, int, int], ...]
    tied_vectors: tuple[tuple[int, int, int], ...]

    @cached_property
    def values_size(self) -> int:
        """Numbers of a row of values; that of a cell with a memory ends with unused ones, so that rows begin at lines.

        Signals are the last numbers of a row.
        """
        size = sum(s.width for s in self.values)
        return size + (-size % LINE if self.memory and not self.signals else 0)

    @cached_property
    def state_size(self) -> int:
        return sum(s.width for s in self.slots)

    @cached_property
    def vectors_size(self) -> int:
        return sum(s.width for s in self.vectors)

    @cached_property
    def memory_size(self) -> int:
        """Numbers of the memory of one instance."""
        return self.source_size * sum(m.width for m in self.memory)

    @cached_property
    def input_rows(self) -> int:
        return sum(p.width for p in self.preactivations if p.input)

    @cached_property
    def matrices_size(self) -> int:
        own = sum(r * c for blocks in self.matrices.values() for r, c in blocks)
        return own + sum(size for _, _, size in self.tied_matrices)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.input_rows and self.input_size:
            shapes["W"] = (self.input_rows, self.input_size)
        shapes |= {name: (sum(r for r, _ in blocks), blocks[0][1]) for name, blocks in self.matrices.items()}
        shapes |= {name: (sum(p.width for p in spans),) for name, spans in self.biases.items()}
        shapes |= {name: (sum(v.width for v in spans),) for name, spans in self.vector_parameters.items()}
        return shapes

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(cell: Any, input_size: int, hidden_size: int, source_size: int = 0) -> Layout:
        schedule: Schedule = cell.schedule
        known = {HIDDEN: hidden_size, SOURCE: source_size}
        size = {label: known[label] if label in known else int(label) for label in width_labels(cell)}
        row = {kind: _spans(items, size) for kind, items in schedule.rows(cell).items()}
        values, slots, vectors = row["values"], row["state"], row["vectors"]
        preactivations = tuple(
            PreactivationSpan(s.name, s.offset, s.width, p.drive, p.input, p.bias)
            for s, p in zip(values, schedule.preactivations, strict=False)
        )
        signals = values[len(values) - len(cell.signals) :]
        nodes = schedule.graph.nodes
        by_name = {s.name: s for s in values}
        slot = {s.name: s for s in slots}

        matrices: dict[str, list[tuple[int, int]]] = {}
        products = []
        reads = []
        for p in schedule.reads:
            sources = []
            for i in p.operand:
                node = nodes[i]
                if node.kind == "state":
                    sources.append((True, slot[node.arguments[0]]))
                elif node.kind in ("preactivation", "signal"):
                    sources.append((False, by_name[node.arguments[0]]))
                elif node.kind not in LEAVES:
                    sources.append((False, by_name[operand_name(i)]))
            reads.append(ReadSpan(p.stage, p.kind, tuple(sources), by_name[p.target]))
        for p in schedule.products:
            if p.is_read:
                continue
            if is_direct(schedule.graph, cell, p.operand):
                kind = nodes[p.operand[0]].kind
                pieces = [(slot if kind == "state" else by_name)[nodes[i].arguments[0]] for i in p.operand]
            else:
                kind = "operand"
                pieces = [by_name[operand_name(i)] for i in p.operand]
            source = Span(p.target, pieces[0].offset, sum(s.width for s in pieces))
            target = by_name[p.target]
            for what, width in (("units", target.width), ("operand's width", source.width)):
                if width % p.heads:
                    raise ArgumentError(
                        f"the {what} of cell {cell.name!r}", f"be a multiple of its {p.heads} heads", width
                    )
            products.append((p, kind == "state", source, target))
            if p.parameter is not None:
                matrices.setdefault(p.parameter, [])
        # Blocks of a parameter are stacked in the order of the drives, whatever the stage of their product.
        position = {drive.name: i for i, drive in enumerate(cell.drives)}
        owner_of, drive_of = tied_to(cell), drives_of(cell, preactivations)
        order = {name: position.get(drive, -1) for name, drive in drive_of.items()}
        offsets: dict[str, int] = {}
        start = 0
        for name in matrices:
            for p, _, source, target in sorted(products, key=lambda x: order[x[0].target]):
                if p.parameter == name and drive_of[p.target] not in owner_of:
                    matrices[name].append((target.width, source.width // p.heads))
                    offsets[p.target] = start
                    start += target.width * (source.width // p.heads)
        # Copies for tied drives stand after all blocks of their own.
        owned, tied_matrices = products_of(cell, schedule), []
        for p, _, source, target in products:
            if p.parameter is not None and drive_of[p.target] in owner_of:
                owner = owned[owner_of[drive_of[p.target]], p.target.endswith("__right")]
                entries = target.width * (source.width // p.heads)
                tied_matrices.append((start, offsets[owner.target], entries))
                offsets[p.target] = start
                start += entries
        vector_parameters: dict[str, list[Span]] = {}
        tied_vectors, place = [], {s.name: s for s in vectors}
        for v, span in zip(schedule.vectors, vectors, strict=True):
            copied = vector_owner(owner_of, v.name)
            if copied is None:
                vector_parameters.setdefault(v.parameter, []).append(span)
            else:
                tied_vectors.append((span.offset, place[copied].offset, span.width))
        biases: dict[str, list[PreactivationSpan]] = {}
        for summed in sorted(preactivations, key=lambda s: order[s.name]):
            if summed.bias:
                biases.setdefault(summed.bias, []).append(summed)
        return Layout(
            input_size,
            hidden_size,
            tuple(size.values()),
            values,
            preactivations,
            signals,
            slots,
            vectors,
            tuple(
                ProductSpan(p.stage, from_state, s, t, p.heads, p.parameter, offsets.get(p.target, 0))
                for p, from_state, s, t in products
            ),
            tuple(reads),
            row["memory"],
            source_size,
            matrices,
            vector_parameters,
            dict(sorted(biases.items())),
            tuple(tied_matrices),
            tuple(tied_vectors),
        )

    @staticmethod
    def sizes_of(cell: Any, params: Mapping[str, np.ndarray]) -> tuple[int, int]:
        """(input size, hidden size) from the shapes of the parameters, all of which are checked."""
        if not isinstance(params, Mapping):
            raise ArgumentTypeError("params", "be a mapping of arrays", type(params).__name__)
        if "W" in params and np.ndim(params["W"]) != 2:
            raise ArgumentError("params['W']", "have shape (rows, input size)", np.shape(params["W"]))
        input_size = params["W"].shape[1] if "W" in params else 0
        hidden = None
        for name, labels in row_labels(cell).items():
            per_unit = labels.count(HIDDEN)
            fixed = sum(int(label) for label in labels if label != HIDDEN)
            if per_unit and name in params and np.ndim(params[name]):
                rows = np.shape(params[name])[0]
                hidden, rest = divmod(rows - fixed, per_unit)
                if rest or hidden < 1:
                    wanted = f"{per_unit} x hidden size" + (f" + {fixed}" if fixed else "")
                    raise ArgumentError(
                        f"params[{name!r}]",
                        f"have {wanted} rows for cell {cell.name!r}",
                        f"shape {np.shape(params[name])}",
                    )
                break
        if hidden is None:
            if not row_labels(cell):
                raise ArgumentError(
                    "cell", "have parameters, which say how many units there are", f"{cell.name!r} with none"
                )
            raise ArgumentError(
                "params",
                f"hold {', '.join(row_labels(cell))} for cell {cell.name!r}",
                ", ".join(params) or "none",
            )
        expected = Layout.of(cell, input_size, hidden).shapes
        for name, shape in expected.items():
            if name not in params:
                raise ArgumentError(
                    "params", f"hold {', '.join(expected)} for cell {cell.name!r}", f"no {name!r}"
                )
            if np.shape(params[name]) != shape:
                raise ArgumentError(
                    f"params[{name!r}]",
                    f"have shape {shape} for cell {cell.name!r} with {hidden} units",
                    np.shape(params[name]),
                )
        unknown = [name for name in params if name not in expected]
        if unknown:
            raise ArgumentError(
                "params", f"hold {', '.join(expected)} for cell {cell.name!r}", f"also {unknown[0]!r}"
            )
        return input_size, hidden


def _spans(items: list[tuple[str, str]], size: Mapping[str, int]) -> tuple[Span, ...]:
    spans, start = [], 0
    for name, label in items:
        spans.append(Span(name, start, size[label]))
        start += size[label]
    return tuple(spans)


@lru_cache(maxsize=1024)
def row_labels(cell: Any) -> dict[str, list[str]]:
    """The labels of the widths of the rows that are stacked in each parameter."""
    schedule: Schedule = cell.schedule
    parts, owner_of, drive_of = (
        {p.name: p for p in schedule.preactivations},
        tied_to(cell),
        drives_of(cell, schedule.preactivations),
    )
    own = [p for p in schedule.products if p.parameter and drive_of[p.target] not in owner_of]
    rows = [("W", p.width) for p in schedule.preactivations if p.input]
    rows += [(p.parameter, parts[p.target].width) for p in own if p.parameter]
    rows += [(p.bias, p.width) for p in schedule.preactivations if p.bias]
    rows += [(v.parameter, v.width) for v in schedule.vectors if vector_owner(owner_of, v.name) is None]
    labels: dict[str, list[str]] = {}
    for name, label in rows:
        labels.setdefault(name, []).append(label)
    return labels
