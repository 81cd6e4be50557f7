"""Label maps in colours, over photographs, side by side, with a legend."""

import numpy as np
import pytest
from cityscapes import PALETTE

from fastscnn_opt.data.dataset import Classes, voc_colour
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.scoring.pictures.drawing import Colours, beside, blend, colourise, in_palette, with_legend

COLOURS = Colours(preset_classes("cityscapes"))
LABELS = COLOURS.of_label(np.array([[0, 10, 255], [13, 18, 5]], np.uint8))


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)


def test_classes_have_their_colours_and_what_counts_nowhere_is_black():
    colours = colourise(LABELS, COLOURS)
    assert colours.shape == (2, 3, 3)
    assert colours[0].tolist() == [[128, 64, 128], [70, 130, 180], [0, 0, 0]]


def test_a_palette_picture_shows_the_same_colours():
    np.testing.assert_array_equal(np.asarray(in_palette(LABELS, COLOURS).convert("RGB")), colourise(LABELS, COLOURS))


@pytest.mark.parametrize(
    ("palette", "ignored", "beyond", "words"),
    [
        ([(1, 2, 3)], (0, 0, 0), (0, 255, 255), "black"),
        (None, (255, 255, 255), (0, 255, 255), "white"),  # class 0 of the generated colours is black
        ([(0, 0, 0), (0, 255, 255)], (255, 255, 255), (255, 0, 255), "white"),
        (
            [(0, 0, 0), (255, 255, 255), (211, 211, 211), (0, 255, 255), (255, 0, 255)],
            (128, 0, 0),
            (0, 128, 0),
            "RGB (128, 0, 0)",
        ),
    ],
)
def test_what_is_no_class_has_colours_that_no_class_has(palette, ignored, beyond, words):
    colours = Colours(Classes.of(["a"] * len(palette or "a"), palette))
    shown = colourise(np.array([[colours.ignored, colours.beyond]]), colours)
    assert shown.tolist() == [[list(ignored), list(beyond)]]
    assert colours.ignored_colour == words


@pytest.mark.parametrize("classes", [3, 254, 255, 300, 1000])
def test_any_number_of_classes_is_drawn(classes):
    colours = Colours(Classes.of([f"class {index}" for index in range(classes)]))
    ignored = 255 if classes <= 255 else 65535
    labels = colours.of_label(np.array([[0, 1, classes - 1, ignored]], np.uint16))
    assert labels.tolist() == [[0, 1, classes - 1, colours.ignored]]
    shown = np.asarray(in_palette(labels, colours).convert("RGB"))
    assert shown[0].tolist() == [*(list(voc_colour(index)) for index in (0, 1, classes - 1)), [255, 255, 255]]


def test_a_name_that_is_too_long_for_the_picture_is_cut():
    colours = Colours(Classes.of(["a name " * 50]))
    page = with_legend(np.full((50, 120, 3), 128, np.uint8), [0], colours)
    assert page.shape[1] == 120
    assert (page[50:, -4:] == 255).all()


def test_alpha_is_the_share_of_the_colours(photo):
    expected = np.rint(0.75 * photo[1] + 0.25 * PALETTE[LABELS[1]])
    np.testing.assert_array_equal(blend(photo, LABELS, 0.25, COLOURS)[1], expected)


def test_at_the_ends_one_of_both_is_left(photo):
    counted = COLOURS.ignored != LABELS
    np.testing.assert_array_equal(blend(photo, LABELS, 0, COLOURS)[counted], photo[counted])
    np.testing.assert_array_equal(blend(photo, LABELS, 1, COLOURS)[counted], PALETTE[LABELS[counted]])


def test_pixels_that_count_nowhere_show_the_photograph(photo):
    np.testing.assert_array_equal(blend(photo, LABELS, 1, COLOURS)[0, 2], photo[0, 2])


def test_pictures_stand_side_by_side_below_their_captions():
    red, blue = (np.full((40, 200, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    page = beside([red, blue], ["first", "x" * 500])
    band, gap = page.shape[0] - 40, page.shape[1] - 400
    assert band > 0
    assert gap > 0
    assert (page[band:, :200] == (255, 0, 0)).all()
    assert (page[band:, 200 + gap :] == (0, 0, 255)).all()
    assert (page[:band, :200] != 255).any(), "the caption was drawn"
    assert (page[:band, 200 : 200 + gap] == 255).all(), "no caption runs into its neighbour"


def test_a_picture_without_a_caption_stays_as_it_is(photo):
    np.testing.assert_array_equal(beside([photo], [""]), photo)


@pytest.mark.parametrize("width", [80, 400, 2000])
def test_a_legend_shows_every_class_below_the_picture(width):
    picture = np.full((50, width, 3), 128, np.uint8)
    page = with_legend(picture, range(19), COLOURS)
    np.testing.assert_array_equal(page[:50], picture)
    shown = {tuple(pixel) for pixel in page[50:].reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in PALETTE.tolist()} <= shown


def test_a_legend_of_few_classes_shows_only_these():
    page = with_legend(np.full((50, 400, 3), 128, np.uint8), [0, 13], COLOURS)
    shown = {tuple(pixel) for pixel in page[50:].reshape(-1, 3).tolist()}
    coloured = [number for number, colour in enumerate(PALETTE.tolist()) if len(set(colour)) > 1]  # text is grey
    assert [number for number in coloured if tuple(PALETTE[number].tolist()) in shown] == [0, 13]
