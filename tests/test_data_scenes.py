"""Scenes of digits: what the captions say is what is in the pictures."""

from __future__ import annotations

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.data import digit_scenes, scene_questions
from recurrent_dynamics.data.scenes import NAMES, PLACES, caption


def scenes_of(rng, count=400):
    labels = np.arange(40) % 10
    images = rng.random((40, 3, 3)) + 1 + labels[:, None, None]  # an image tells its label
    return images, digit_scenes(images, labels, count, rng=3)


def test_the_pictures_hold_the_digits_that_are_named(rng):
    images, scenes = scenes_of(rng)
    assert scenes.pictures.shape == (400, 6, 6)
    for picture, row in zip(scenes.pictures, scenes.digits):
        for k, digit in enumerate(row):
            field = picture[3 * (k // 2) : 3 * (k // 2) + 3, 3 * (k % 2) : 3 * (k % 2) + 3]
            if digit < 0:
                assert not field.any()
            else:
                assert any(np.array_equal(field, image) for image in images[digit::10])
    counts = np.bincount((scenes.digits >= 0).sum(axis=1), minlength=5)
    assert counts[:2].sum() == 0
    assert counts[2:].min() > 90


def read(words):
    """The digits of a caption, read by its grammar."""
    row, text = [-1] * 4, " ".join(words)
    digits = [NAMES.index(word) for word in words if word in NAMES]
    if len(digits) == 4:
        return digits
    if text.startswith("nothing at the"):
        full = [k for k in range(4) if PLACES[k] != tuple(words[3:5])]
    elif " left of " in text:
        full = [k for k in range(4) if PLACES[k][0] == words[-1]]
    elif " above " in text:
        full = [k for k in range(4) if PLACES[k][1] == words[-1]]
    else:
        full = [PLACES.index(tuple(part.split()[-2:])) for part in text.split(" , ")]
    for k, digit in zip(full, digits):
        row[k] = digit
    return row


def test_a_caption_says_the_whole_scene(rng):
    _, scenes = scenes_of(rng)
    for words, row in zip(scenes.captions, scenes.digits):
        assert read(words) == row.tolist()
    assert (
        " ".join(caption(np.array([8, -1, -1, 1]))) == "an eight at the top left , a one at the bottom right"
    )


def test_answers_are_right_and_images_keep_their_dtype(rng):
    _, scenes = scenes_of(rng, 60)
    asked = scene_questions(scenes, rng=1)
    assert len(asked.answers) == 240
    for scene, words, answer in zip(*asked):
        row = scenes.digits[scene]
        text = " ".join(words)
        if text.startswith("how many"):
            assert NAMES.index(answer) == (row >= 0).sum()
        elif text.startswith("what is at the"):
            digit = row[PLACES.index(tuple(words[4:6]))]
            assert answer == ("nothing" if digit < 0 else NAMES[digit])
        else:
            assert (answer == "yes") == (NAMES.index(words[3]) in row)
    again = scene_questions(scenes, rng=1)
    assert again.questions == asked.questions
    assert digit_scenes(np.ones((1, 2, 2), "float32"), [0], 1).pictures.dtype == "float32"


@pytest.mark.parametrize(
    ("named", "call"),
    [
        ("images", lambda: digit_scenes(np.ones((2, 2)), [0, 1], 1)),
        ("labels", lambda: digit_scenes(np.ones((2, 2, 2)), [0], 1)),
        ("labels", lambda: digit_scenes(np.ones((2, 2, 2)), [0, 10], 1)),
        ("count", lambda: digit_scenes(np.ones((1, 2, 2)), [0], 0)),
        ("scenes", lambda: scene_questions(3)),
    ],
)
def test_wrong_arguments_are_named(named, call):
    with pytest.raises((rd.ArgumentError, rd.ArgumentTypeError)) as error:
        call()
    assert error.value.argument == named
