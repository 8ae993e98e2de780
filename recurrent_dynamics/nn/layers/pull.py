"""The way back of a layer, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, ArgumentTypeError, number
from ...engine import check
from ...engine.derivatives import Gradients
from ...engine.run import Run
from ...results import Result
from ..leaves import nest
from .context import by_path, nested

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LayerGradients(Result):
    """Derivatives of a loss by all that went into a layer.

    Attributes
    ----------
    params : dict
        Nested as the parameters.
    x : ndarray (T, B, N) or None
        By the input, 0 beyond the lengths; None for class indices.
    initial : dict
        By the initial states, nested as `Context.initial`.
    signals : dict of ndarray
        By each signal, shaped as it came: the sum over the cells that read it.
    runs : dict of Gradients
        Those of each recurrent layer, as `recurrent_dynamics.backward` gives them, by its path.
    memory : dict of ndarray
        By each array of the memory: the sum over the cells that read it.
    """

    params: dict[str, Any]
    x: NDArray[Any] | None
    initial: dict[str, Any]
    signals: dict[str, NDArray[Any]]
    runs: dict[str, Gradients]
    memory: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def layers(self) -> list[Gradients]:
        """The gradients of the recurrent layers in order, as `ModelGradients.layers`."""
        return list(self.runs.values())

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the gradient by each layer's states over the steps; see `recurrent_dynamics.plot.norms`."""
        from ...plot import norms

        if not self.runs:
            raise ArgumentError("layer", "have a recurrent layer, whose states are drawn", "none")
        states = {
            f"{path}, {slot}" if path else slot: values
            for path, gradients in self.runs.items()
            for slot, values in gradients.states.items()
        }
        return norms(
            states, what=r"$\Vert\,\partial L / \partial\, \mathrm{state}_t\,\Vert$", ax=ax, **options
        )


class Pull(Result):
    """The way back of a layer: call it with the derivative of a loss by the output.

    It can be called any number of times.

    Attributes
    ----------
    runs : dict of Run
        The run of each recurrent layer, as `recurrent_dynamics.forward` gives it, by the path of its parameters, such
        as "1/forward"; "" for a recurrent layer alone. The run of a direction from the end has its steps in the order
        in which they were taken. The analyses of `recurrent_dynamics.dynamics` take runs.
    run : Run
        The run of the only recurrent layer.
    steps : int
        The number T of steps.
    final : dict
        The state of each recurrent layer after its last step, nested as the parameters. `Context.initial` takes it.
    statistics : dict
        The running statistics after a call of training, nested as the parameters, of which they are a part; see
        `batch_norm`.
    penalty : float
        The sum of the penalties of activations in a call of training; see `activation_penalty`.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> lstm = rd.nn.recurrent(rd.cells.lstm(), 3, input_size=2)
    >>> layer = rd.nn.bidirectional(lstm, lstm)
    >>> y, pull = layer(layer.init(rng=0), np.ones((5, 4, 2), "float32"))
    >>> d_params, d_x = pull(np.ones_like(y))
    >>> d_params["backward"]["U"].shape, d_x.shape, list(pull.runs), pull.final["forward"]["c"].shape
    ((12, 3), (5, 4, 2), ['forward', 'backward'], (4, 3))
    """

    _shown = ("runs",)

    def __init__(
        self,
        y: NDArray[Any],
        runs: Mapping[str, Run],
        back: Callable[..., Any],
        within: NDArray[Any] | None,
        statistics: Mapping[str, NDArray[Any]] | None = None,
        penalties: Mapping[str, float] | None = None,
    ) -> None:
        self._statistics, self._penalties = dict(statistics or {}), dict(penalties or {})
        self._shape, self._dtype, self._back, self._within = y.shape, y.dtype, back, within
        self.runs = dict(runs)

    @property
    def statistics(self) -> dict[str, Any]:
        return nest(self._statistics)

    @property
    def penalty(self) -> float:
        return sum(self._penalties.values())

    @property
    def steps(self) -> int:
        """T."""
        return self._shape[0]

    @property
    def run(self) -> Run:
        if len(self.runs) != 1:
            raise ArgumentError(
                "layer", "have one recurrent layer, or runs[path] choose one", ", ".join(self.runs) or "none"
            )
        return next(iter(self.runs.values()))

    @property
    def final(self) -> dict[str, Any]:
        return nested({path: run.final for path, run in self.runs.items()})

    def __call__(
        self,
        d_y: NDArray[Any] | None = None,
        d_final: Mapping[str, Any] | None = None,
        d_penalty: float = 0.0,
    ) -> tuple[dict[str, Any], NDArray[Any] | None]:
        """Derivatives by the parameters and by the input.

        Parameters
        ----------
        d_y : ndarray (T, B, M), optional
            The loss's derivative by the output; what stands beyond the lengths does not count. 0 when absent.
        d_final : dict, optional
            Its derivatives by the final states, nested as `final`.
        d_penalty : float
            Its derivative by `penalty`.

        Returns
        -------
        d_params : dict
            Nested as the parameters.
        d_x : ndarray (T, B, N) or None
            None for class indices.

        Raises
        ------
        ValueError, TypeError
            Naming the argument, what was expected and what came.
        FloatingPointError
            When a gradient becomes infinite or NaN.
        """
        found = self.gradients(d_y, d_final, d_penalty)
        return found.params, found.x

    def gradients(
        self,
        d_y: NDArray[Any] | None = None,
        d_final: Mapping[str, Any] | None = None,
        d_penalty: float = 0.0,
    ) -> LayerGradients:
        """All derivatives, those by initial states and signals too; arguments as for a call."""
        if d_y is None and d_final is None:
            raise ArgumentError("d_y or d_final", "be given", "none")
        if d_y is None:
            d_y = np.zeros(self._shape, self._dtype)
        within = None if self._within is None else self._within[..., None]
        d_y = check.floating("d_y", d_y, self._dtype, self._shape, within)
        ends: dict[str, Any] = by_path("d_final", d_final, tuple(self.runs))
        ends |= {path: {"penalty": number("d_penalty", d_penalty)} for path in self._penalties}
        back = self._back(d_y, ends)
        x = back.x
        if x is not None:
            x = x if within is None else np.where(within, x, x.dtype.type(0))
        initial = nested({path: gradients.initial for path, gradients in back.runs.items()})
        return LayerGradients(back.params, x, initial, back.signals, back.runs, dict(back.memory))

    def __reduce__(self) -> tuple[Any, ...]:
        raise ArgumentTypeError(
            "a pull-back",
            "stay in its process",
            "one to be pickled: pickle the layer, gradients or pull.runs",
        )

    def plot(self, axes: Sequence[Axes] | None = None, **options: Any) -> NDArray[Any]:
        """Draw the states of every recurrent layer, an array of axes; see `recurrent_dynamics.plot.states`."""
        from ...plot import given_or_panels, states

        if not self.runs:
            raise ArgumentError("layer", "have a recurrent layer, whose states are drawn", "none")
        drawn = given_or_panels(axes, len(self.runs))
        for (path, run), ax in zip(self.runs.items(), drawn, strict=True):
            states(run, ax=ax, **options).set_title(path, fontsize="medium")
        return drawn
