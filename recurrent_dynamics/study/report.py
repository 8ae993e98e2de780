"""The report of a study: one HTML file with its figures inside."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from .. import plot
from ..checks import ArgumentError, instance, pathlike
from ..dynamics import Diagnosis, diagnose
from ..dynamics.diagnosis.words import percent
from ..nn.files import write_atomically
from ..training import History
from ..training.diagnose import history_columns
from ..training.tree import named_leaves
from . import captions, figures, findings, report_tables
from .baselines import baselines
from .corpus import STANDARD_LIBRARY, Corpus
from .measure import Measurements
from .model_file import CharacterModel
from .names import duration, in_words
from .origin import Origin, resolved, rows

TEMPLATE = Path(__file__).with_name("report.html")
SAMPLE_LENGTH = 700
TEMPERATURES = (0.5, 1.0)
MADE = "How this report was made"
FACTS = ("updates", "epochs", "seconds")  # of a training, which a report says


@plot.without_pyplot()
def write_report(
    path: Path,
    trained: CharacterModel,
    corpus: Corpus,
    found: Measurements,
    history: History | None,
    origin: Origin | None = None,
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
    origin
        What else the report says of its making.

    Returns
    -------
    Diagnosis
        What the sentences at the top say.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    check_subject(path, trained, corpus, history, origin)
    instance("found", found, Measurements)
    settings = trained.settings
    diagnosis = _diagnosis(settings.truncation, found, history)
    levels = baselines(corpus)
    sections = list(_sections(trained, corpus, found, history, levels))
    contents = [(title, _anchor(title)) for title, _ in sections] + [(MADE, _anchor(MADE))]
    page = Template(TEMPLATE.read_text("utf-8")).substitute(
        title=html.escape(
            f"{in_words(settings.cell)}, {settings.layers} × {settings.hidden} units, trained on {_source(trained)}"
        ),
        verdict=diagnosis.verdict,
        cause=f" ({html.escape(diagnosis.cause)})" if diagnosis.cause else "",
        sentences="</p><p>".join(map(html.escape, diagnosis.sentences)),
        remedies=_remedies(diagnosis),
        numbers=report_tables.numbers(diagnosis),
        facts=_definitions(_facts(trained, corpus, found, levels)),
        contents="".join(
            f"<li><a href='#{anchor}'>{html.escape(title)}</a></li>" for title, anchor in contents
        ),
        sections="\n".join(_section(title, *parts) for title, parts in sections),
        made=_section(
            MADE, f"<dl class='made'>{_definitions(rows(origin or Origin(), trained, corpus))}</dl>"
        ),
        settings=html.escape(json.dumps(resolved(trained), indent=1, ensure_ascii=False)),
    )
    write_atomically(path, lambda file: file.write(page.encode("utf-8")))
    return diagnosis


def check_subject(path: Any, trained: Any, corpus: Any, history: Any, origin: Any) -> None:
    """Refuse what a report cannot be about."""
    pathlike("path", path)
    instance("trained", trained, CharacterModel)
    missing = [name for name in FACTS if name not in trained.facts]
    if missing:
        raise ArgumentError("trained", f"have the facts {', '.join(FACTS)}", f"none of {', '.join(missing)}")
    instance("corpus", corpus, Corpus)
    if history is not None:
        instance("history", history, History)
    if origin is not None:
        instance("origin", origin, Origin)


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


def _remedies(diagnosis: Diagnosis) -> str:
    if not diagnosis.remedies:
        return ""
    items = "".join(f"<li>{html.escape(remedy)}</li>" for remedy in diagnosis.remedies)
    return f"<p>What to try:</p><ul>{items}</ul>"


def _facts(
    trained: CharacterModel, corpus: Corpus, found: Measurements, levels: Mapping[str, float]
) -> list[tuple[str, str]]:
    settings, facts = trained.settings, trained.facts
    source = _source(trained)
    size = sum(array.size for _, array in named_leaves(trained.params))
    held_out, characters = len(corpus.validation), len(trained.vocabulary)
    layers = f"{settings.layers} layer{'s' * (settings.layers > 1)} of {settings.hidden} units"
    rows = [
        ("Network", f"{in_words(settings.cell)}, {layers}; {size:,} parameters"),
        ("Trained on", f"{source}; {characters} different characters"),
        (
            "Training",
            f"{facts['updates']:,} updates ({facts['epochs']:.1f} epochs) in {duration(facts['seconds'])}, "
            f"{settings.batch} windows of {settings.truncation} steps each, {in_words(settings.optimizer)}",
        ),
        (
            "Measured on",
            f"{found.windows} windows of {found.window} steps from the last {held_out:,} characters",
        ),
    ]
    bits = facts.get("validation_bits")
    if bits is not None:
        rows.append((
            "Validation",
            f"{bits:.3f} bits per character ({bits * np.log(2):.3f} nats, perplexity {2**bits:.2f})",
        ))  # fmt: skip
    others = ", ".join(f"{name} {value:.2f}" for name, value in levels.items())
    rows.append(("To compare with", f"{others} bits per character, on the same {held_out:,} characters"))
    if corpus.name != source or corpus.unknown:
        rows.append(
            ("Studied on", f"{corpus.name}; {corpus.unknown:,} characters unknown to the model left out")
        )
    return rows


def _source(trained: CharacterModel) -> str:
    return STANDARD_LIBRARY if trained.source is None else Path(trained.source).name


def _sections(
    trained: CharacterModel,
    corpus: Corpus,
    found: Measurements,
    history: History | None,
    levels: Mapping[str, float],
) -> Iterable[tuple[str, list[str]]]:
    """Title and parts of every section."""
    settings = trained.settings
    learnt = f"<p>{captions.NO_HISTORY}</p>"
    if history is not None and len(history):
        compared = findings.baselines(levels, len(corpus.vocabulary))
        learnt = _figure(
            figures.learning_curve(history, levels), captions.LEARNING_CURVE.format(baselines=compared)
        )
    yield "What it learnt", [learnt, _samples(trained, corpus)]
    flow = captions.GRADIENT_FLOW.format(windows=found.windows, truncation=settings.truncation)
    yield (
        "How far back gradients reach",
        [_figure(figures.gradient_flow(found, settings.truncation), flow)],
    )
    slots = ", ".join(dict.fromkeys(path.slot for layer in found.layers for path in layer.paths))
    yield (
        "What many steps do to a perturbation",
        [
            _figure(
                figures.singular_values(found), captions.SINGULAR_VALUES.format(sequences=found.sequences)
            ),
            _figure(figures.paths(found), captions.PATHS.format(slots=slots), otherwise=captions.NO_PATH),
        ],
    )
    yield "Stable, chaotic, or in between", list(_portraits(found, trained.vocabulary.characters))
    scales = findings.time_scales(found)
    units = [
        _figure(figures.saturation(found), captions.SATURATION, kind="small", otherwise=""),
        report_tables.units(found),
        _figure(
            figures.time_scales(found),
            captions.TIME_SCALES.format(medians=scales),
            otherwise=captions.NO_TIME_SCALES,
        ),
    ]
    if not any(layer.gates for layer in found.layers):
        units.insert(0, f"<p>{captions.NO_GATES.format(cell=in_words(settings.cell))}</p>")
    yield "Saturated, dead and slow units", units
    if history is not None and len(history):
        limit = settings.clip if settings.clip and settings.clip_by == "norm" else None
        clipped = percent(float(np.mean(history["clipped_norm"] < history["grad_norm"])))
        text = captions.OPTIMIZATION.format(clipped=clipped)
        yield "The path of the weights", [_figure(figures.optimization(history, limit), text)]


def _portraits(found: Measurements, characters: Sequence[str]) -> Iterable[str]:
    known = [layer.portrait.spectrum for layer in found.layers if layer.portrait.spectrum is not None]
    if known:
        text = captions.SPECTRA.format(
            steps=known[0].steps,
            sequences=known[0].per_trajectory.shape[0],
            first=findings.exponents(found),
            growth=findings.growth(found),
        )
        yield _figure(figures.spectra(found), text)
    else:
        yield f"<p>{captions.NO_SPECTRA}</p>"
    text = captions.FIXED_POINTS.format(conclusion=findings.rest(found))
    yield _figure(figures.fixed_points(found, characters), text)
    table = report_tables.held_characters(found, characters)
    yield f"<details><summary>The fixed points in numbers</summary>{table}</details>"
    remarks = [
        f"<li>Layer {index + 1}: {html.escape(remark)}</li>"
        for index, layer in enumerate(found.layers)
        for remark in layer.portrait.remarks
    ]
    if remarks:
        yield f"<p>{captions.REMARKS}</p><ul class='remarks'>{''.join(remarks)}</ul>"


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


def _section(title: str, *parts: str) -> str:
    return f"<section id='{_anchor(title)}'><h2>{html.escape(title)}</h2>{''.join(parts)}</section>"


def _anchor(title: str) -> str:
    return re.sub("[^a-z]+", "-", title.lower()).strip("-")


def _figure(panels: Sequence[str], caption: str, *, kind: str = "", otherwise: str = "") -> str:
    """Panels that stack where the screen is narrow, and a caption; without panels a sentence, if there is one."""
    if not panels:
        return f"<p>{otherwise}</p>" if otherwise else ""
    box = f"<div class='panels {kind}'>{''.join(panels)}</div>"
    return f"<figure>{box}<figcaption>{caption}</figcaption></figure>"


def _definitions(rows: Iterable[tuple[str, Any]]) -> str:
    return "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in rows)
