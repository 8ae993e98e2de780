"""What a model is made of: its layers with their sizes and constraints, and the parameters that it starts from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell, Constraint
from ..cells.constraint import Choice
from ..cells.mistaken import what_came
from ..checks import ArgumentError, ArgumentTypeError, floating_dtype, generator, integer, number
from ..engine import check
from .leaves import arrays, check_tree
from .scored import Scored


class Architecture(Scored):
    """Sizes and constraints of the layers of `Model`, whose docstring describes the arguments."""

    def __init__(
        self,
        cells: Cell | Sequence[Cell],
        hidden_size: int | Sequence[int],
        input_size: int | None = None,
        vocabulary_size: int | None = None,
        output_size: int | None = None,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        loss: str = "cross_entropy",
        parametrize: Choice | Sequence[Choice | None] | None = None,
        pool: str | None = None,
    ) -> None:
        several = isinstance(cells, Iterable) and not isinstance(cells, str | np.ndarray)
        own: list[Any] = list(cells) if several else [cells]  # type: ignore[arg-type]
        wrong = [c for c in own if not isinstance(c, Cell)]
        if wrong or not own:
            came = what_came(wrong[0]) if wrong else "none"
            raise ArgumentTypeError("cells", "be a Cell or a sequence of at least one Cell", came)
        super().__init__(own, loss, pool)
        widths: list[Any] = [hidden_size] * len(self.cells)
        if isinstance(hidden_size, list | tuple) or np.ndim(hidden_size):
            widths = list(hidden_size)  # type: ignore[arg-type]
        if len(widths) != len(self.cells):
            raise ArgumentError(
                "hidden_size", f"hold a number for each of {len(self.cells)} layers", len(widths)
            )
        self.hidden_size = [integer("hidden_size", w, at_least=1) for w in widths]
        if (input_size is None) == (vocabulary_size is None):
            raise ArgumentError(
                "either input_size (real inputs) or vocabulary_size (class indices)",
                "be given",
                "none" if input_size is None else "both",
            )
        self.vocabulary_size: int | None = None
        self.embedding_size: int | None = None
        if vocabulary_size is not None:
            self.vocabulary_size = integer("vocabulary_size", vocabulary_size, at_least=1)
            default = min(self.vocabulary_size, self.hidden_size[0])
            self.embedding_size = integer(
                "embedding_size", default if embedding_size is None else embedding_size, at_least=1
            )
        elif embedding_size is not None:
            raise ArgumentError(
                "embedding_size", "be None, since real inputs have no embedding", repr(embedding_size)
            )
        self.input_size = integer(
            "input_size", self.embedding_size if input_size is None else input_size, at_least=1
        )
        if output_size is None and vocabulary_size is None:
            raise ArgumentError(
                "output_size", "be given, since there is no vocabulary to take it from", "None"
            )
        self.output_size = integer(
            "output_size", vocabulary_size if output_size is None else output_size, at_least=1
        )
        self.layer_inputs: list[int] = []  # width of what each layer reads
        width = self.input_size
        for cell, hidden in zip(self.cells, self.hidden_size, strict=True):
            self.layer_inputs.append(width)
            width = next(s.width for s in cell.layout(width, hidden).slots if s.name == cell.output)
        self.readout_inputs = width
        first = self.cells[0].layout(self.input_size, self.hidden_size[0])
        self._reads_classes = "W" in first.shapes and not any(s.name == "x" for s in first.signals)
        choices: list[Any] = [parametrize] * len(self.cells)
        if isinstance(parametrize, list | tuple):
            choices = list(parametrize)
        if len(choices) != len(self.cells):
            raise ArgumentError("parametrize", f"hold one for each of {len(self.cells)} layers", len(choices))
        sizes = zip(self.cells, self.layer_inputs, self.hidden_size, choices, strict=True)
        self.constraints = [Constraint(*layer) for layer in sizes]
        self.dropout = number("dropout", dropout, at_least=0, below=1)
        if dropout and len(self.cells) == 1:
            raise ArgumentError("dropout", "be 0 for one layer, since it acts between layers", dropout)

    def __repr__(self) -> str:
        layers = ", ".join(map(str, self.constraints))
        source = f"{self.vocabulary_size} classes" if self.vocabulary_size else f"{self.input_size} inputs"
        readout = f"{self.pool} -> {self.output_size}" if self.pool else f"{self.output_size}"
        return f"Model({source} -> {layers} -> {readout}, {self.loss_name})"

    def init(
        self, rng: int | np.random.Generator = 0, dtype: str | np.dtype[Any] = "float32"
    ) -> dict[str, Any]:
        """Draw parameters.

        The table is standard normal, each layer as its cell draws it, the readout uniform in +-1/sqrt(H).

        Parameters
        ----------
        rng : int or Generator
        dtype : {"float32", "float64"}

        Returns
        -------
        dict
            ``{"embedding": {"table": (V, E)}, "layers": {"0": ..., "1": ...}, "readout": {"W": (V, H), "b": (V,)}}``,
            without "embedding" for real inputs.
        """
        kind, rng = floating_dtype("dtype", dtype), generator("rng", rng)
        params: dict[str, Any] = {}
        if self.vocabulary_size is not None:
            table = rng.standard_normal((self.vocabulary_size, self.input_size))
            params["embedding"] = {"table": table.astype(kind)}
        params["layers"] = {
            str(i): layer.sample(layer.cell.init(layer.input_size, layer.hidden_size, rng, kind.name), rng)
            for i, layer in enumerate(self.constraints)
        }
        bound = 1 / np.sqrt(self.readout_inputs)
        params["readout"] = {
            "W": rng.uniform(-bound, bound, (self.output_size, self.readout_inputs)).astype(kind),
            "b": rng.uniform(-bound, bound, self.output_size).astype(kind),
        }
        return params

    @property
    def paths(self) -> list[str]:
        return [f"layers/{i}" for i in range(len(self.cells))]

    def cell_params(self, params: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
        """The parameters of each layer as the verbs take them, with U made from its free parameters."""
        made = [layer(own)[0] for layer, own in zip(self.constraints, self.by_layer(params), strict=True)]
        return [
            {name: check.array(f"params['layers']['{i}'][{name!r}]", a) for name, a in of_layer.items()}
            for i, of_layer in enumerate(made)
        ]

    def by_layer(self, params: Any) -> list[Any]:
        """The parameters of each layer, the free ones in place of U."""
        check_tree(params, ["layers"])
        layers, keys = params["layers"], [str(i) for i in range(len(self.cells))]
        if not isinstance(layers, Mapping) or set(layers) != set(keys):
            came = ", ".join(map(str, layers)) if isinstance(layers, Mapping) else type(layers).__name__
            raise ArgumentError("params['layers']", f"be a dict of {', '.join(keys)}", came or "nothing")
        return [layers[key] for key in keys]

    def readout(self, params: Any) -> list[NDArray[Any]]:
        """W (V, H) and b (V,) of the readout."""
        check_tree(params, ["readout"])
        shapes = {"W": (self.output_size, self.readout_inputs), "b": (self.output_size,)}
        return arrays("params['readout']", params["readout"], shapes)

    def table(self, params: Any) -> NDArray[Any]:
        """The table (V, E) of the embedding."""
        check_tree(params, ["embedding"])
        shape = (self.vocabulary_size or 0, self.input_size)
        table = arrays("params['embedding']", params["embedding"], {"table": shape})[0]
        return check.floating("params['embedding']['table']", table, self.readout(params)[1].dtype)
