"""The text of the pass that fixes open inputs."""

import pytest

from fastscnn_opt.model.interface import static_shape
from fastscnn_opt.rewriting.registry import build_pipeline


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"image": ["N", 3, None, -1]}, "static-shape{shape=1x3x512x1024}"),
        ({"image": [None, None, None, 3]}, "static-shape{shape=1x512x1024x3}"),
        ({"image": None}, "static-shape{shape=1x3x512x1024}"),
        ({"image": ["N", 3, 64, 128], "scale": [1]}, "static-shape{shape=1x3x64x128}"),
        ({"a": ["N", 2], "b": [None, 3]}, "static-shape{shape=a:1x2|b:1x3}"),
    ],
)
def test_the_text_can_be_typed(inputs, text):
    assert static_shape(inputs) == text
    (item,) = build_pipeline(text)
    assert "|".join(item.shape) in text


def test_a_name_with_blanks_is_quoted():
    text = static_shape({"my image": ["N", 3, 64, 128], 'a"b': ["N", 2], "c:0": ["N"]})
    assert text == r"""static-shape{shape="my image:1x3x64x128"|"a\"b:1x2"|c:0:1}"""
    (item,) = build_pipeline(text)
    assert item.shape == ("my image:1x3x64x128", 'a"b:1x2', "c:0:1")


def test_fixed_inputs_need_nothing():
    assert static_shape({"image": [1, 3, 8, 8]}) == ""
