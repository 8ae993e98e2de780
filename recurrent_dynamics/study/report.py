"""The report of a study: one HTML file with its figures inside."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ..dynamics import Diagnosis, Saturation, diagnose
from ..nn.files import write_atomically
from ..training import History
from ..training.tree import named_leaves
from . import captions, figures
from .corpus import STANDARD_LIBRARY, Corpus
from .diagnose import history_columns
from .held import BEGINNINGS, REPEATED, Held
from .measure import Measurements
from .model_file import CharacterModel

TEMPLATE = Path(__file__).with_name("report.html")
SAMPLE_LENGTH = 700
TEMPERATURES = (0.5, 1.0)
SHOWN = 3  # fixed points of which the table says more than their kind


def write_report(
    path: Path, trained: CharacterModel, corpus: Corpus, found: Measurements, history: History | None
) -> Diagnosis:
    """Write the report, whole or not at all.

    Parameters
    ----------
    path
        Of the HTML file.
    trained
        The model.
    corpus
        The text it was studied on.
    found
        What was measured.
    history
        Of its training; the figures over training are left out if None.

    Returns
    -------
    Diagnosis
        What the two sentences at the top say.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    settings = trained.settings
    diagnosis = _diagnosis(settings.truncation, found, history)
    page = Template(TEMPLATE.read_text("utf-8")).substitute(
        title=html.escape(
            f"{settings.layers} × {settings.hidden} {settings.cell}, trained on {_source(trained)}"
        ),
        verdict=diagnosis.verdict,
        sentences=html.escape(" ".join(diagnosis.sentences)),
        cures=_cures(diagnosis),
        numbers=_numbers(diagnosis),
        facts=_definitions(_facts(trained, corpus, found)),
        sections="\n".join(_sections(trained, corpus, found, history)),
        settings=html.escape(json.dumps(settings.to_json(), indent=1)),
    )
    write_atomically(path, lambda file: file.write(page.encode("utf-8")))
    return diagnosis


def _diagnosis(truncation: int, found: Measurements, history: History | None) -> Diagnosis:
    """What the measurements and the history of the training say together."""
    return diagnose(
        [layer.flow for layer in found.layers],
        truncation,
        states=[layer.states for layer in found.layers],
        gates=[layer.gates for layer in found.layers],
        gated=any(layer.paths for layer in found.layers),
        **history_columns(history),
    )


def _cures(diagnosis: Diagnosis) -> str:
    if not diagnosis.cures:
        return ""
    items = "".join(f"<li>{html.escape(cure)}</li>" for cure in diagnosis.cures)
    return f"<p>What to try:</p><ul>{items}</ul>"


def _numbers(diagnosis: Diagnosis) -> str:
    """The numbers of a diagnosis and their thresholds, those that speak for trouble marked."""
    rows = "".join(
        f"<tr class='{'speaks' if m.speaks else 'silent'}'><th>{html.escape(m.name)}</th><td>{m.value:.3g}</td>"
        f"<td>trouble {m.side} {m.threshold:g}</td></tr>"
        for m in diagnosis.measures
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _facts(trained: CharacterModel, corpus: Corpus, found: Measurements) -> list[tuple[str, str]]:
    settings, facts = trained.settings, trained.facts
    source = _source(trained)
    size = sum(array.size for _, array in named_leaves(trained.params))
    held_out, characters = len(corpus.validation), len(trained.vocabulary)
    rows = [
        (
            "Network",
            f"{settings.layers} layers of {settings.hidden} units, {settings.cell}; {size:,} parameters",
        ),
        ("Trained on", f"{source}; {characters} different characters"),
        (
            "Training",
            f"{facts['updates']:,} updates ({facts['epochs']:.1f} epochs) in {_duration(facts['seconds'])}, "
            f"{settings.batch} windows of {settings.truncation} steps each, {settings.optimizer}",
        ),
        (
            "Measured on",
            f"{found.windows} windows of {found.window} steps from the last {held_out:,} characters",
        ),
    ]
    if facts.get("validation_bits") is not None:
        rows.append(("Validation", f"{facts['validation_bits']:.3f} bits per character"))
    if corpus.name != source or corpus.unknown:
        rows.append(
            ("Studied on", f"{corpus.name}; {corpus.unknown:,} characters unknown to the model left out")
        )
    return rows


def _source(trained: CharacterModel) -> str:
    return STANDARD_LIBRARY if trained.source is None else Path(trained.source).name


def _sections(
    trained: CharacterModel, corpus: Corpus, found: Measurements, history: History | None
) -> Iterable[str]:
    settings = trained.settings
    learnt = [_samples(trained, corpus)]
    if history is not None and len(history):
        curve = _figure(figures.learning_curve(history), captions.LEARNING_CURVE)
        learnt.insert(0, curve)
    else:
        learnt.insert(0, f"<p>{captions.NO_HISTORY}</p>")
    yield _section("What it learnt", *learnt)
    flow = captions.GRADIENT_FLOW.format(windows=found.windows, truncation=settings.truncation)
    yield _section(
        "How far back gradients reach", _figure(figures.gradient_flow(found, settings.truncation), flow)
    )
    products = [
        _figure(figures.singular_values(found), captions.SINGULAR_VALUES.format(sequences=found.sequences))
    ]
    paths = figures.paths(found)
    products.append(_figure(paths, captions.PATHS) if paths else f"<p>{captions.NO_PATH}</p>")
    yield _section("What many steps do to a perturbation", *products)
    yield _section("Stable, chaotic, or in between", *_portraits(found, trained.vocabulary.characters))
    units = [_table(found)]
    saturation, scales = figures.saturation(found), figures.time_scales(found)
    if not any(layer.gates for layer in found.layers):
        units.insert(0, f"<p>{captions.NO_GATES.format(cell=settings.cell)}</p>")
    if saturation:
        units.insert(0, _figure(saturation, captions.SATURATION))
    units.append(_figure(scales, captions.TIME_SCALES) if scales else f"<p>{captions.NO_TIME_SCALES}</p>")
    yield _section("Saturated, dead and slow units", *units)
    if history is not None and len(history):
        limit = settings.clip if settings.clip and settings.clip_by == "norm" else None
        clipped = float(np.mean(history["clipped_norm"] < history["grad_norm"]))
        text = captions.OPTIMIZATION.format(clipped=clipped)
        yield _section("The path of the weights", _figure(figures.optimization(history, limit), text))


def _portraits(found: Measurements, characters: Sequence[str]) -> Iterable[str]:
    spectra = figures.spectra(found)
    leading = [layer.portrait.spectrum for layer in found.layers if layer.portrait.spectrum is not None]
    if spectra and leading:
        first = max(leading, key=lambda s: s.exponents[0])
        text = captions.SPECTRA.format(
            steps=first.steps,
            sequences=first.per_trajectory.shape[0],
            first=f"{first.exponents[0]:.3f} ± {first.standard_errors[0]:.3f}".replace("-", "−"),
            memory=_memory(first.exponents[0]),
        )
        yield _figure(spectra, text)
    else:
        yield f"<p>{captions.NO_SPECTRA}</p>"
    text = captions.FIXED_POINTS.format(conclusion=_rest(found))
    yield _figure(figures.fixed_points(found, characters), text)
    yield _held_table(found, characters)
    remarks = [
        f"<li>Layer {index + 1}: {html.escape(remark)}</li>"
        for index, layer in enumerate(found.layers)
        for remark in layer.portrait.remarks
    ]
    if remarks:
        yield f"<p>{captions.REMARKS}</p><ul class='remarks'>{''.join(remarks)}</ul>"


def _memory(exponent: float) -> str:
    if exponent >= 0:
        return "small differences grow: the network is sensitive to what it read at any distance"
    return f"the trace of a small difference fades to 1/e within {max(1, round(-1 / exponent))} steps"


def _rest(found: Measurements) -> str:
    """Whether the fixed points lie among the states of the text."""
    inside = outside = 0
    for layer in found.layers:
        for held in layer.portrait.held:
            inside += int(np.sum(held.distance <= 1))
            outside += int(np.sum(held.distance > 1))
    if not inside + outside:
        return "None was found: under none of these inputs does a layer come to rest."
    if not inside:
        return (
            "All that were found lie outside of the region that the text visits: nothing holds the state there, and "
            "while a character is repeated it drifts outwards."
        )
    if not outside:
        return "All that were found lie within the region that the text visits."
    return f"Of {inside + outside} points {inside} lie within the region that the text visits."


def _held_table(found: Measurements, characters: Sequence[str]) -> str:
    names = (
        "",
        "in a row",
        "fixed points",
        "searches that arrive",
        "distance",
        "slowest",
        "step then",
        f"after {REPEATED[-1]:,}",
    )
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = []
    for index, layer in enumerate(found.layers):
        for held in layer.portrait.held:
            what = html.escape(repr(characters[held.token]))
            values = (str(held.longest), *_points_in_words(held), *(f"{step:.2g}" for step in held.pace))
            cells = "".join(f"<td>{value}</td>" for value in values)
            rows.append(f"<tr><th>layer {index + 1}, {what} repeated</th>{cells}</tr>")
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    text = captions.HELD.format(repetitions=REPEATED[-1], starts=BEGINNINGS * len(REPEATED))
    return f"<figure class='table'>{body}<figcaption>{text}</figcaption></figure>"


def _points_in_words(held: Held) -> tuple[str, str, str, str]:
    """Kinds, share of the searches that arrived, distances, and the slowest time scale; dashes where there are none."""
    points = held.points
    if points is None or not len(points):
        slow = 0 if points is None else len(points.slow.q)
        words = "no constant input" if points is None else f"{slow} slow points" if slow else "none found"
        return words, "–" if points is None else "0 %", "–", "–"
    counts = {kind: int(np.sum(points.kind == kind)) for kind in dict.fromkeys(points.kind.tolist())}
    largest = np.abs(points.eigenvalues[:, 0])
    steps = [_steps(-1 / np.log(mu)) if 0 < mu < 1 else "grows" if mu >= 1 else "0" for mu in largest]
    return (
        ", ".join(f"{n} {kind}" for kind, n in counts.items()),
        f"{held.reached:.0%}",
        ", ".join(f"×{d:.2f}" if d < 10 else f"×{d:.0f}" for d in held.distance[:SHOWN]),
        ", ".join(steps[:SHOWN]),
    )


def _steps(count: float) -> str:
    return f"{count:,.0f}" if count < 1e5 else "over 100,000"


def _samples(trained: CharacterModel, corpus: Corpus) -> str:
    prime = corpus.vocabulary.decode(corpus.validation[:300])
    shown = prime[-60:]
    parts = []
    for temperature in TEMPERATURES:
        text = trained.sample(prime, SAMPLE_LENGTH, temperature, trained.settings.seed)
        parts.append(
            f"<div><h3>temperature {temperature:g}</h3>"
            f"<pre><span class='prime'>{html.escape(shown)}</span>{html.escape(text)}</pre></div>"
        )
    return f"<figure><div class='samples'>{''.join(parts)}</div><figcaption>{captions.SAMPLES}</figcaption></figure>"


def _table(found: Measurements) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("", "mean", "saturated low", "saturated high", "dead units")
    )
    rows = []
    for index, layer in enumerate(found.layers):
        for result in (*layer.gates, *layer.states):
            what = "state" if result in layer.states else "gate"
            rows.append(
                f"<tr><th>layer {index + 1}, {what} {html.escape(result.name)}</th>{_cells(result)}</tr>"
            )
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<figure class='table'>{body}<figcaption>{captions.UNITS}</figcaption></figure>"


def _cells(result: Saturation) -> str:
    ranged = result.thresholds is not None
    values = (
        f"{result.mean.mean():z.2f}",  # z: no "-0.00"
        f"{result.low.mean():.0%}" if ranged else "–",
        f"{result.high.mean():.0%}" if ranged else "–",
        f"{int(result.dead.sum())} of {len(result.dead)}",
    )
    return "".join(f"<td>{v}</td>" for v in values)


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{''.join(parts)}</section>"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _definitions(rows: Iterable[tuple[str, Any]]) -> str:
    return "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in rows)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
