"""Picture and label get the same pixels."""

import numpy as np
import pytest

from fastscnn_opt.demo.scenes.camera import Camera
from fastscnn_opt.demo.scenes.canvas import Board, Canvas, Label

HAZE = (200, 200, 200)
RED = (250, 10, 10)
OUTLINE = [(-5, 12), (40, -7), (63, 50), (22, 70), (30, 33)]


@pytest.fixture
def canvas():
    camera = Camera(height=64, width=96, focal=80.0, horizon=28.0, centre=48.0, eye=1.5)
    return Canvas(camera, np.random.default_rng(0), HAZE, 150.0)


def _painted(canvas):
    return (np.asarray(canvas.picture) != HAZE).any(axis=2), np.asarray(canvas.labels) != Label.IGNORE


@pytest.mark.parametrize(
    "paint",
    [
        lambda c: c.polygon(OUTLINE, RED, Label.CAR),
        lambda c: c.textured(OUTLINE, (RED, (10, 10, 250)), c.grains.leaves, Label.CAR),
        lambda c: c.tint(OUTLINE, RED, 0.5, Label.CAR),
        lambda c: c.ellipse((-9, 5, 60, 80), RED, Label.CAR),
        lambda c: c.bar((7, 3, 10, 90), RED, Label.CAR),
        lambda c: c.face([(-2, 0, 4), (2, 0, 0.2), (2, 1, 9)], RED, Label.CAR),
        lambda c: Board(c, 0.5, 8.0).limb((0, 0), (0.4, 1.2), 0.2, RED, Label.CAR),
        lambda c: Board(c, 0.5, 8.0, squeeze=-0.6).disc(0.2, 1.0, 0.4, RED, Label.CAR),
    ],
    ids=["polygon", "textured", "tint", "ellipse", "bar", "face", "limb", "disc"],
)
def test_one_geometry_for_both(canvas, paint):
    paint(canvas)
    picture, label = _painted(canvas)
    assert label.any()
    assert np.array_equal(picture, label)


def test_flat_and_textured_polygons_cover_the_same_pixels(canvas):
    canvas.polygon(OUTLINE, RED, Label.CAR)
    flat = np.asarray(canvas.labels) == Label.CAR
    canvas.textured(OUTLINE, (RED, RED), canvas.grains.soft, Label.BUS)
    assert np.array_equal(np.asarray(canvas.labels) == Label.BUS, flat)


def test_a_bar_is_as_wide_as_its_box(canvas):
    canvas.bar((20, 10, 24, 30), RED, Label.POLE)
    pole = np.asarray(canvas.labels) == Label.POLE
    assert pole.any(axis=0).sum() == 4
    assert pole.any(axis=1).sum() == 20


def test_light_and_shadow_leave_the_label(canvas):
    canvas.bar((0, 0, 96, 64), RED, Label.ROAD)
    canvas.tint(OUTLINE, (0, 0, 0), 0.5)
    assert (np.asarray(canvas.labels) == Label.ROAD).all()


def test_later_paint_hides_earlier_paint(canvas):
    canvas.bar((0, 0, 50, 40), RED, Label.BUILDING)
    canvas.bar((25, 20, 75, 60), (0, 0, 255), Label.CAR)
    assert np.asarray(canvas.labels)[30, 30] == Label.CAR
    assert canvas.picture.getpixel((30, 30)) == (0, 0, 255)


def test_what_is_outside_the_canvas_or_behind_the_camera_is_not_drawn(canvas):
    canvas.textured([(200, 5), (260, 5), (230, 50)], (RED, RED), canvas.grains.soft, Label.CAR)
    canvas.face([(-2, 0, -4), (2, 0, -4), (2, 1, -9)], RED, Label.CAR)
    assert not _painted(canvas)[1].any()


def test_projection_follows_the_pinhole_formula(canvas):
    assert canvas.camera.project([(2.0, 0.5, 10.0), (-1.0, 3.0, 20.0), (0.0, 1.5, 5.0)]) == [
        (64, 36),
        (44, 22),
        (48, 28),
    ]
