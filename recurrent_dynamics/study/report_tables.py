"""The tables of a report, each in a box of its own that scrolls where the screen is narrow."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import numpy as np

from ..dynamics import Diagnosis, Saturation
from ..dynamics.diagnosis.words import percent
from ..dynamics.units.saturation import DEAD_BELOW, STUCK_TIME
from . import captions
from .constant_input import BEGINNINGS, REPEATED, Held
from .measure import Measurements
from .names import character

SHOWN = 3  # fixed points of which the table says more than their kind
MINUS = str.maketrans("-", "−")


def numbers(diagnosis: Diagnosis) -> str:
    """The numbers of a diagnosis and their thresholds, those that speak for trouble marked."""
    rows = "".join(
        f"<tr class='{'speaks' if m.speaks else 'silent'}'><th>{html.escape(m.name)}</th>"
        f"<td>{_plain(f'{m.value:.3g}')}</td><td>trouble {m.side} {m.threshold:g}</td></tr>"
        for m in diagnosis.measures
    )
    return f"<div class='scroll'><table><tbody>{rows}</tbody></table></div>"


def units(found: Measurements) -> str:
    """Mean, saturation, dead and stuck units of every gate and state."""
    rows = [
        (f"layer {index + 1}, {what} {result.name}", _unit_cells(result))
        for index, layer in enumerate(found.layers)
        for what, results in (("gate", layer.gates), ("state", layer.states))
        for result in results
    ]
    caption = captions.UNITS.format(dead=percent(DEAD_BELOW), time=percent(STUCK_TIME))
    head = ("gate or state", "mean", "saturated low", "saturated high", "dead units", "stuck units")
    return f"<figure class='table'>{_table(head, rows)}<figcaption>{caption}</figcaption></figure>"


def _unit_cells(result: Saturation) -> list[str]:
    ranged = result.thresholds is not None
    return [
        _plain(f"{result.mean.mean():z.2f}"),  # z: no "-0.00"
        percent(result.low.mean()) if ranged else "–",
        percent(result.high.mean()) if ranged else "–",
        f"{int(result.dead.sum())} of {len(result.dead)}",
        f"{int(result.stuck.sum())} of {len(result.stuck)}",
    ]


def held_characters(found: Measurements, characters: Sequence[str]) -> str:
    """What every layer does while a character is repeated, and what is known of its fixed points."""
    head = (
        "repeated character",
        "longest run in the text",
        "fixed points found",
        "searches that arrived",
        "distance",
        "slowest time scale (steps)",
        "pace after the longest run",
        f"pace after {REPEATED[-1]:,} repetitions",
    )
    rows = [
        (
            f"layer {index + 1}, {character(characters[held.token])}",
            [str(held.longest), *_points_in_words(held), *(f"{step:.2g}" for step in held.pace)],
        )
        for index, layer in enumerate(found.layers)
        for held in layer.portrait.held
    ]
    text = captions.HELD.format(starts=BEGINNINGS * len(REPEATED))
    return f"<figure class='table'>{_table(head, rows)}<figcaption>{text}</figcaption></figure>"


def _points_in_words(held: Held) -> tuple[str, str, str, str]:
    """Kinds, share of the searches that arrived, distances, and the slowest time scale; dashes where there are none."""
    points = held.points
    if points is None or not len(points):
        slow = 0 if points is None else len(points.slow.q)
        words = "no constant input" if points is None else f"{slow} slow points" if slow else "none found"
        return words, "–" if points is None else percent(0), "–", "–"
    counts = {kind: int(np.sum(points.kind == kind)) for kind in dict.fromkeys(points.kind.tolist())}
    largest = np.abs(points.eigenvalues[:, 0])
    steps = [_steps(-1 / np.log(mu)) if 0 < mu < 1 else "grows" if mu >= 1 else "0" for mu in largest]
    return (
        ", ".join(f"{n} {kind}" for kind, n in counts.items()),
        percent(held.reached),
        ", ".join(f"×{d:.2f}" if d < 10 else f"×{d:.0f}" for d in held.distance[:SHOWN]),
        ", ".join(steps[:SHOWN]),
    )


def _steps(count: float) -> str:
    return f"{count:,.0f}" if count < 1e5 else "over 100,000"


def _plain(number: str) -> str:
    return number.translate(MINUS) if "e" not in number else number


def _table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        for name, cells in rows
    )
    return f"<div class='scroll'><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
