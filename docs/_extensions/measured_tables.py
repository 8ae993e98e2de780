"""Tables of numbers that a command measured and wrote to a file.

``peer-table``: one table of ``benchmarks/peers.py``, from the file that its ``--csv`` wrote. ``:file:`` names another
file, ``:summary:`` keeps means and worst sizes alone. A new run replaces that file and nothing else. A table that the
run does not have says so. ``confusion-table``: how often which verdict was given, from the file of
``docs/make_diagnosis_table.py``. ``measured-table``: a file of ``_static/data`` as it is, the command in its first line
below it.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DATA = "_static/data"  # from the folder of the pages
FIGURES = "peers.csv"  # rows (table, case, quantity, value)
VERDICTS = f"{DATA}/diagnosis.csv"  # rows (truth, case, units, seed, verdict), after the command
SUMMARIES = ("geometric mean", "worst")
LABELS = {
    0: (),
    1: ("what",),
    2: ("cell", "T, B, N, H"),
    3: ("functions", "nodes", "levels"),
}  # of the columns before the numbers, by their number


def table_of(records: list[dict[str, str]], name: str) -> tuple[list[list[str]], list[str]]:
    """Return the lines of a table, its header first, and the sentences below it; an empty header if it is not there.

    Times of a peer whose ratio to ours is there too are left out.
    """
    own = [r for r in records if r["table"] == name]
    if not own:
        return [[]], []
    every = {r["quantity"] for r in own}
    own = [r for r in own if r["quantity"].replace(": ", " over ours: ", 1) not in every - {r["quantity"]}]
    columns = [r["quantity"] for r in own if r["case"] == own[0]["case"]]
    rows: dict[str, dict[str, str]] = {}
    below: dict[str, dict[str, str]] = {}
    for r in own:
        value = r["value"] if name == "environment" else shown(float(r["value"]))
        label, _, column = r["case"].rpartition(", ")
        if r["quantity"] in columns:
            rows.setdefault(r["case"], {})[r["quantity"]] = value
        elif column in columns and r["quantity"] in SUMMARIES:  # lines of their own, after all others
            rows.setdefault(f"{label}; {r['quantity']}", {})[column] = value
        else:
            below.setdefault(r["case"], {})[r["quantity"]] = value
    labels = {case: case.split("; ") if case else [] for case in rows}
    lines = [[*LABELS[len(labels[own[0]["case"]])], *columns]]
    lines += [[*labels[case], *(row.get(column, "") for column in columns)] for case, row in rows.items()]
    listing = {case: ", ".join(f"{q} {v}" for q, v in numbers.items()) for case, numbers in below.items()}
    return lines, [f"{case}: {numbers}." if case else f"{numbers}." for case, numbers in listing.items()]


def shown(number: float) -> str:
    """Write a number as ``benchmarks/peers.py`` prints it; a small one by its power of ten."""
    if 0 < abs(number) < 1e-2:
        return f"{number:.0e}"
    digits = 0 if abs(number) >= 1000 else 1 if abs(number) >= 100 else 2
    return f"{number:,.{digits}f}"


class PeerTable(SphinxDirective):
    """``.. peer-table:: NAME``."""

    required_arguments = 1
    option_spec: ClassVar = {"file": directives.path, "summary": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Read the numbers and hand them to ``csv-table``."""
        name = f"{DATA}/{self.options.get('file', FIGURES)}"
        self.env.note_dependency(name)
        with (Path(self.env.srcdir) / name).open(newline="", encoding="utf-8") as file:
            (header, *lines), below = table_of(list(csv.DictReader(file)), self.arguments[0])
        if not lines:
            return self.parse_text_to_nodes("This table is not in the present run.")
        if "summary" in self.options:
            table = [header, *(line for line in lines if line[1] in SUMMARIES)]
            filled = [i for i, column in enumerate(zip(*table, strict=True)) if any(column[1:])]
            return self.parse_text_to_nodes(_csv_table([[line[i] for i in filled] for line in table], []))
        return self.parse_text_to_nodes(_csv_table([header, *lines], below))


def confusion_of(records: list[dict[str, str]]) -> list[list[str]]:
    """Return the lines of a confusion table: a network in each, with its verdicts, the most frequent first.

    A column for each verdict would be wider than a page, and nearly all of it empty.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    for r in records:
        counts.setdefault((r["truth"], r["case"]), Counter())[r["verdict"]] += 1
    lines = [["set up for", "network", "verdicts"]]
    for (truth, case), found in counts.items():
        shown = [f"**{n}** {v}" if v == truth else f"{n} {v}" for v, n in found.most_common()]
        lines.append([truth, case, ", ".join(shown)])
    return lines


class ConfusionTable(SphinxDirective):
    """``.. confusion-table::``."""

    def run(self) -> list[nodes.Node]:
        """Count the verdicts and hand them to ``csv-table``."""
        self.env.note_dependency(VERDICTS)
        with (Path(self.env.srcdir) / VERDICTS).open(newline="", encoding="utf-8") as file:
            command = file.readline().removeprefix("# ").strip()
            records = list(csv.DictReader(file))
        right = sum(r["truth"] == r["verdict"] for r in records)
        below = f"{right} of {len(records)} are as the network was set up (``{command}``)."
        return self.parse_text_to_nodes(_csv_table(confusion_of(records), [below]))


class MeasuredTable(SphinxDirective):
    """``.. measured-table:: FILE``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Hand the lines to ``csv-table``."""
        name = f"{DATA}/{self.arguments[0]}"
        self.env.note_dependency(name)
        with (Path(self.env.srcdir) / name).open(newline="", encoding="utf-8") as file:
            command, _, where = file.readline().removeprefix("# ").strip().partition("; ")
            lines = [[text.replace("`", "``") for text in line] for line in csv.reader(file)]
        return self.parse_text_to_nodes(_csv_table(lines, [f"``{command}``: {where}."]))


def _csv_table(lines: list[list[str]], below: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(lines)
    table = [
        ".. csv-table::",
        "   :header-rows: 1",
        "",
        *(f"   {line}" for line in text.getvalue().splitlines()),
    ]
    return "\n".join([*table, "", *(f"{line}\n" for line in below)])


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directives known."""
    app.add_directive("peer-table", PeerTable)
    app.add_directive("confusion-table", ConfusionTable)
    app.add_directive("measured-table", MeasuredTable)
    return {"parallel_read_safe": True}
