"""Pictures of characters keep their content in its place."""

import re

import numpy as np

from lungline.reports.terminal import as_text, shrink, side_by_side, to_grey


def test_grey_clips_and_survives_nan():
    grey = to_grey(np.array([[-2000.0, -1000.0], [400.0, np.nan]]), -1000, 400)
    assert grey.tolist() == [[0, 0], [255, 0]]
    assert to_grey(np.array([[True, False]]), 0, 1).tolist() == [[255, 0]]
    assert to_grey(np.array([[3.0]]), 3, 3).tolist() == [[0]]


def test_plain_text_shows_a_bright_corner_in_its_corner():
    image = np.zeros((40, 40), np.uint8)
    image[:20, 20:] = 255
    lines = as_text(image, 20, height_to_width=1, plain=True)
    assert len(lines) == 10
    assert lines[0] == " " * 10 + "@" * 10
    assert lines[9] == " " * 20


def test_half_blocks_carry_two_pixels_a_character():
    image = np.array([[255, 0], [0, 7]], np.uint8)
    (line,) = as_text(image, 2, height_to_width=1, plain=False)
    assert re.findall(r"\x1b\[(\d+);2;(\d+);", line) == [("38", "255"), ("48", "0"), ("38", "0"), ("48", "7")]
    assert line.endswith("\x1b[0m")


def test_shrink_takes_every_part():
    image = np.arange(16).reshape(4, 4)
    assert shrink(image, 2, 2).tolist() == [[5, 7], [13, 15]]
    assert shrink(image, 8, 4).shape == (8, 4)


def test_pictures_of_unequal_height_stand_side_by_side():
    assert side_by_side([["ab", "cd"], ["e"]], [2, 1]) == ["ab  e", "cd"]
