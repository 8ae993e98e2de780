"""Units that track signals, the signals of source code, and text coloured by a unit."""

from __future__ import annotations

import io
import tokenize

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.patches import Rectangle
from refusals import Refusal, refused, wrong_type

from recurrent_dynamics import plot
from recurrent_dynamics.data import standard_library, text_signals
from recurrent_dynamics.dynamics import tracking


def test_a_unit_that_follows_a_signal_is_found_and_judged_elsewhere(rng):
    values = rng.standard_normal((400, 2, 6))
    quoted = rng.integers(0, 2, (400, 2))
    values[..., 4] -= 5 * quoted
    values[:200, :, 1] += 5 * rng.permuted(quoted[200:], axis=0)  # of no use
    found = tracking(values, {"quotes": quoted, "noise": rng.standard_normal((400, 2))})
    assert found.unit[0] == 4
    assert found.correlation[0, 4] < -0.9
    assert found.held_out[0] == pytest.approx(
        np.corrcoef(values[200:, :, 4].ravel(), quoted[200:].ravel())[0, 1]
    )
    assert abs(found.held_out[1]) < 0.2
    assert "quotes" in str(found)


def test_luck_in_choosing_does_not_survive_the_other_part(rng):
    found = tracking(rng.standard_normal((60, 500)), {"noise": rng.standard_normal(60)})
    chosen = abs(found.correlation[0, found.unit[0]])
    assert chosen > 0.5
    assert abs(found.held_out[0]) < chosen


@given(hnp.arrays(np.float64, (20, 3), elements=st.floats(-10, 10)), st.floats(0.1, 5), st.floats(-5, 5))
def test_correlation_knows_neither_scale_nor_shift(values, scale, shift):
    signal = np.arange(20.0)
    first = tracking(values, {"s": signal}).correlation
    again = tracking(values, {"s": scale * signal + shift}).correlation
    np.testing.assert_allclose(first, again, atol=1e-9)
    assert (np.abs(first) <= 1 + 1e-12).all()


@pytest.mark.parametrize(
    ("values", "signals", "refusal"),
    [
        (np.ones(4), {"s": np.ones(4)}, Refusal("values", "(T, H)")),
        (np.ones((4, 2)), {}, Refusal("signals", came="none")),
        (
            np.ones((4, 2)),
            {"s": np.ones(3)},
            Refusal("signals['s']", "(4,)", "(3,)"),
        ),
        (np.ones((3, 2)), {"s": np.ones(3)}, Refusal("values", came="3")),
    ],
)
def test_what_cannot_be_correlated_is_refused(values, signals, refusal):
    with refused(refusal):
        tracking(values, signals)


@pytest.mark.parametrize(
    ("call", "refusal"),
    [
        (lambda: tracking("a", {"s": [1]}), wrong_type("values", came="'a'")),
        (lambda: tracking(np.ones((9, 2)), [1]), wrong_type("signals", came="list")),
        (lambda: tracking(np.ones((9, 2)), {"s": "a"}), wrong_type("signals['s']", came="'a'")),
        (lambda: text_signals(b"a"), wrong_type("text", came="bytes")),
        (lambda: plot.coloured_text(3, [1]), wrong_type("text", came="int")),
        (lambda: plot.coloured_text("ab", "xy"), wrong_type("values", came="'xy'")),
    ],
)
def test_arguments_of_another_type_are_refused(call, refusal):
    with refused(refusal):
        call()


@pytest.mark.parametrize(
    ("call", "refusal"),
    [
        (lambda: standard_library(0), Refusal("size", "1", "0")),
        (lambda: standard_library("a"), Refusal("size", "1", "'a'")),
        (lambda: plot.coloured_text("ab", [1, 2], limit=0), Refusal("limit", "0", "0")),
        (lambda: plot.coloured_text("ab", [1, 2], columns=1.5), Refusal("columns", "1")),
    ],
)
def test_values_out_of_range_are_refused(call, refusal):
    with refused(refusal):
        call()


# Without formatted strings, whose fields hold code of their own since Python 3.12.
CODE = r'''
class Reader(Base):
    """Reads (or tries to read) a table: rows of [key, value] pairs.

    It's "lenient": a quote in a docstring isn't a string, and # is no comment.
    """

    MARKS = {"open": ("(", "[", "{"), "close": (")", "]", "}"), "none": ()}  # brackets within strings (
    ESCAPED = ["\\", "\"", '\'', 'it is "so"', r"\d+[^\]]", b"\x00(", "#"]

    def rows(self, lines, *, skip=frozenset({"", "#"})):
        found = [
            (key.strip(), [int(v) for v in values.split(",") if v])  # a pair
            for key, values in (line.split("=", 1) for line in lines if line[:1] not in skip)
        ]
        return dict(found)  # not "found"

    def text(self, rows, width=8):
        # A table (of text):
        head = QQQkey  value
----- [-----]
QQQ
        return head + "".join("%-*s%s\n" % (width, key, ",".join(map(str, v))) for key, v in rows.items())


def nested(depth):
    """Brackets
    upon brackets.
    """
    return [[[{(depth, (depth + 1)): {depth: [()]}}]]] if depth else ()
'''.replace("QQQ", "'" * 3).lstrip()


def test_signals_agree_with_the_tokenizer_of_python():
    text = CODE
    found = text_signals(text)
    starts = np.cumsum([0] + [len(line) + 1 for line in text.split("\n")])
    quoted, comment, level = np.zeros((3, len(text)))
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        a, b = (starts[row - 1] + column for row, column in (token.start, token.end))
        if token.type == tokenize.STRING:
            prefix = len(token.string) - len(token.string.lstrip("rb"))
            marks = 3 if token.string.endswith(("'" * 3, '"' * 3)) else 1
            quoted[a + prefix : b - marks] = 1  # from its opening quote on until before its closing one
        elif token.type == tokenize.COMMENT:
            comment[a:b] = 1
        elif token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
            level[a:] = depth
    assert np.mean(quoted) > 0.05
    np.testing.assert_array_equal(found["inside quotes"], quoted)
    np.testing.assert_array_equal(found["inside a comment"], comment)
    np.testing.assert_array_equal(found["open brackets"], level)


def test_signals_of_a_few_lines():
    text = 'def f(a):\n    x = "(#"  # [\n    """(\n"""\n'
    found = text_signals(text)
    assert found["open brackets"].max() == 1
    assert found["open brackets"][-1] == 0
    assert found["inside a comment"].sum() == len("# [")
    assert found["code depth"][text.index("x")] == 4
    assert found["position in line"][text.index("x")] == 5
    assert found["inside quotes"][-1] == 0
    assert found["inside quotes"][text.index('"""') + 3] == 1
    assert {name: v.shape for name, v in text_signals("").items()} == dict.fromkeys(found, (0,))


def test_an_unfinished_or_escaped_string_ends_where_python_ends_it():
    assert text_signals("'a\nb")["inside quotes"].tolist() == [1, 1, 0, 0]
    assert text_signals(r"'\''x")["inside quotes"].tolist() == [1, 1, 1, 0, 0]


def test_every_character_has_its_colour():
    ax = plot.coloured_text("ab\nc$d", np.array([1.0, -1.0, 0, 0, 0.5, 0]), columns=10, title="units")
    boxes = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert [(p.get_x(), p.get_y()) for p in boxes] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    red, blue, white = (boxes[k].get_facecolor() for k in (0, 1, 2))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(white[:3]) > 0.95
    assert [t.get_text() for t in ax.texts] == ["a", "b", "c", r"\$", "d"]
    with refused("values", "2"):
        plot.coloured_text("ab", np.ones(3))


def test_long_lines_are_broken():
    ax = plot.coloured_text("a" * 25, np.ones(25), columns=10)
    assert ax.get_ylim() == (3.0, 0.0)
