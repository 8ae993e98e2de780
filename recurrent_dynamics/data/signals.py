"""What a reader of source code keeps in mind, character by character."""

from __future__ import annotations

import numpy as np

from ..checks import ArgumentTypeError

OPENING, CLOSING = "([{", ")]}"


def text_signals(text: str) -> dict[str, np.ndarray]:
    r"""Signals that a unit of a character model may track, after reading each character of Python source (or similar).

    Quotes, triple quotes and comments are followed as Python does; the text may begin anywhere outside of a string.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict of ndarray (n,)
        "inside quotes" and "inside a comment": 0 or 1; "open brackets": how many; "position in line": characters
        since the last line feed; "code depth": columns of indentation of the line (the last known one, while the
        indentation is being read).

    Raises
    ------
    TypeError
        If the text is no str.

    Examples
    --------
    >>> found = text_signals("f('(', [1])\n")
    >>> found["inside quotes"].tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> found["open brackets"].tolist()
    [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 1.0, 0.0, 0.0]
    """
    if not isinstance(text, str):
        raise ArgumentTypeError("text", "be a str", type(text).__name__)
    n = len(text)
    quoted, comment, brackets, place, depth = np.zeros((5, n))
    quote, in_comment, level, column, indent, start = "", False, 0, 0, 0, True
    i = 0
    while i < n:
        c = text[i]
        width = 1
        if quote:
            if c == "\\":
                width = 2
            elif text.startswith(quote, i):
                width, quote = len(quote), ""
            elif c == "\n" and len(quote) == 1:  # an unfinished string ends with its line
                quote = ""
        elif in_comment:
            in_comment = c != "\n"
        elif c in "'\"":
            quote = c * 3 if text.startswith(c * 3, i) else c
            width = len(quote)
        elif c == "#":
            in_comment = True
        elif c in OPENING:
            level += 1
        elif c in CLOSING:
            level = max(0, level - 1)
        for j in range(i, min(i + width, n)):
            if text[j] == "\n":
                column, start = 0, True
            else:
                if start and text[j] != " ":
                    indent, start = column, False
                column += 1
            quoted[j], comment[j], brackets[j] = bool(quote), in_comment, level
            place[j], depth[j] = column, indent
        i += width
    return {
        "inside quotes": quoted,
        "inside a comment": comment,
        "open brackets": brackets,
        "position in line": place,
        "code depth": depth,
    }
