"""Small scenes of handwritten digits, with captions and questions from a grammar of a few rules."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, generator, instance, integer, reals

NAMES = tuple("zero one two three four five six seven eight nine".split())
PLACES = (("top", "left"), ("top", "right"), ("bottom", "left"), ("bottom", "right"))


class Scenes(NamedTuple):
    """Pictures of four fields, two to four of them with a digit.

    Attributes
    ----------
    pictures : ndarray (n, 2 height, 2 width)
    digits : ndarray of int (n, 4)
        The digit at the top left, top right, bottom left, bottom right; -1 for an empty field.
    captions : list of (list of str)
        Words that say all that there is to see.
    """

    pictures: NDArray[Any]
    digits: NDArray[np.int64]
    captions: list[list[str]]

    def __repr__(self) -> str:
        words = {word for caption in self.captions for word in caption}
        return f"Scenes({len(self.pictures)} pictures of {self.pictures.shape[1:]}, captions of {len(words)} words)"


class Questions(NamedTuple):
    """Questions about scenes, each with an answer of one word.

    Attributes
    ----------
    scenes : ndarray of int (m,)
        The scene that each is about.
    questions : list of (list of str)
    answers : list of str
    """

    scenes: NDArray[np.int64]
    questions: list[list[str]]
    answers: list[str]

    def __repr__(self) -> str:
        return f"Questions({len(self.answers)} about {len(set(self.scenes.tolist()))} scenes)"


def digit_scenes(
    images: NDArray[Any], labels: ArrayLike, count: int, rng: int | np.random.Generator = 0
) -> Scenes:
    """Pictures of two to four digits in four fields, with a caption each.

    Two digits in a row are "a three left of a seven , at the top", two in a column "a three above a seven , on the
    left", two others "a three at the top left , a seven at the bottom right". Three digits are named in reading order
    after the empty field, four in reading order.

    Parameters
    ----------
    images : ndarray (n, height, width)
        Such as those of `digits`. Give those of one part only (`partition`), so that no image of a test is known from
        training.
    labels : array_like of int (n,)
        The digits, 0 to 9.
    count : int
        How many scenes are drawn.
    rng : int or Generator

    Returns
    -------
    Scenes

    Examples
    --------
    >>> scenes = digit_scenes(np.ones((2, 8, 8)), [3, 7], count=2, rng=8)
    >>> scenes.pictures.shape, scenes.digits[0]
    ((2, 16, 16), array([-1,  3, -1,  7]))
    >>> " ".join(scenes.captions[0])
    'a three above a seven , on the right'
    """
    a, named = reals("images", images), reals("labels", labels)
    if a.ndim != 3 or not a.size:
        raise ArgumentError("images", "have shape (n, height, width)", a.shape)
    if named.shape != a.shape[:1] or named.dtype.kind not in "iu":
        raise ArgumentError("labels", f"be integers of shape {a.shape[:1]}", f"{named.dtype} {named.shape}")
    if named.min() < 0 or named.max() > 9:
        raise ArgumentError("labels", "be digits, 0 to 9", f"{named.min()} to {named.max()}")
    count, draw = integer("count", count, at_least=1), generator("rng", rng)
    chosen = draw.integers(0, len(a), (count, 4))
    order = np.argsort(draw.random((count, 4)), axis=1)
    filled = np.argsort(order, axis=1) < draw.integers(2, 5, (count, 1))
    digits = np.where(filled, named[chosen], -1)
    fields = a[chosen] * filled[..., None, None].astype(a.dtype)
    height, width = a.shape[1:]
    pictures = fields.reshape(count, 2, 2, height, width).transpose(0, 1, 3, 2, 4)
    return Scenes(
        np.ascontiguousarray(pictures).reshape(count, 2 * height, 2 * width),
        digits,
        [caption(row) for row in digits],
    )


def caption(digits: NDArray[np.int64]) -> list[str]:
    """The words of a scene."""
    seen = [k for k in range(4) if digits[k] >= 0]
    names = [_one(int(digits[k])) for k in seen]
    if len(seen) == 2:
        first, second = (PLACES[k] for k in seen)
        if first[0] == second[0]:
            text = f"{names[0]} left of {names[1]} , at the {first[0]}"
        elif first[1] == second[1]:
            text = f"{names[0]} above {names[1]} , on the {first[1]}"
        else:
            text = " , ".join(
                f"{name} at the {' '.join(PLACES[k])}" for name, k in zip(names, seen, strict=True)
            )
    elif len(seen) == 3:
        empty = next(k for k in range(4) if digits[k] < 0)
        text = f"nothing at the {' '.join(PLACES[empty])} , {' '.join(names)}"
    else:
        text = " ".join(names)
    return text.split()


def scene_questions(scenes: Scenes, rng: int | np.random.Generator = 0) -> Questions:
    """Four questions about each scene.

    "how many digits ?" has the answers two, three and four; "what is at the top left ?", for one of the fields, a digit
    or nothing; "is there a seven ?" is asked once for a digit that is there and once for one that is not.

    Parameters
    ----------
    scenes : Scenes
    rng : int or Generator
        Draws the fields and the digits.

    Returns
    -------
    Questions

    Examples
    --------
    >>> asked = scene_questions(digit_scenes(np.ones((2, 8, 8)), [3, 7], count=1, rng=3), rng=0)
    >>> for question, answer in zip(asked.questions, asked.answers):
    ...     print(" ".join(question), answer)
    how many digits ? three
    what is at the bottom right ? three
    is there a three ? yes
    is there a six ? no
    """
    instance("scenes", scenes, Scenes)
    draw = generator("rng", rng)
    questions, answers = [], []
    for row in scenes.digits:
        there = sorted({int(d) for d in row if d >= 0})
        absent = sorted(set(range(10)) - set(there))
        field, one, other = int(draw.integers(4)), int(draw.choice(there)), int(draw.choice(absent))
        for question, answer in (
            ("how many digits ?", NAMES[int((row >= 0).sum())]),
            (
                f"what is at the {' '.join(PLACES[field])} ?",
                NAMES[row[field]] if row[field] >= 0 else "nothing",
            ),
            (f"is there {_one(one)} ?", "yes"),
            (f"is there {_one(other)} ?", "no"),
        ):
            questions.append(question.split())
            answers.append(answer)
    return Questions(np.repeat(np.arange(len(scenes.digits)), 4), questions, answers)


def _one(digit: int) -> str:
    """A digit with its article."""
    return f"{'an' if digit == 8 else 'a'} {NAMES[digit]}"
