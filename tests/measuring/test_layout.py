"""Logits whose classes may lie along the last axis are told from those whose classes lie along the second."""

import pytest

from fastscnn_opt.measuring.layout import may_end_in_classes


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((1, 19, 1024, 2048), (1024, 2048)),
        ((1, 150, 128, 128), (512, 512)),
        ((1, 40, 47, 63), (375, 500)),
        ((1, 256, 256, 19), None),
        ((1, 300, 60, 45), (480, 360)),
        ((1, "C", 64, 64), (64, 64)),
        ((1, 19, "h", "w"), None),
        ((1, 19, 8, 0), (64, 64)),
    ],
)
def test_classes_in_the_second_place(shape, image):
    assert not may_end_in_classes(shape, image)


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((1, 256, 256, 19), (256, 256)),
        ((1, 47, 63, 40), (375, 500)),
        ((1, 128, 256, 19), (1025, 2049)),
        ((1, 64, 64, 64), (256, 256)),
        ((1, 512, 1024, 1), (512, 1024)),
        ((1, "h", "w", 19), None),
    ],
)
def test_classes_perhaps_in_the_last_place(shape, image):
    assert may_end_in_classes(shape, image)
