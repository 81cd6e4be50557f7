"""The rules about Resize: what the device samples against what the file says."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.lint.resize import Axis, Sampling, coordinates, cubic, inputs, rounding, side


def resize(graph, attributes, source="1,2,8,16", result="1,2,16,32", opset=13):
    sizes = ", ".join(result.split(","))
    return graph(
        f"""
        g (float[{source}] x) => (float[{result}] y) <int64[4] sizes = {{{sizes}}}, float[0] none = {{}}>
        {{ [resize] y = Resize<{attributes}>(x, none, none, sizes) }}
        """,
        opset,
    )


def linear(transformation):
    return f'mode="linear", coordinate_transformation_mode="{transformation}"'


def nearest(transformation, nearest_mode):
    return f'mode="nearest", coordinate_transformation_mode="{transformation}", nearest_mode="{nearest_mode}"'


@pytest.mark.parametrize(
    ("transformation", "honoured"),
    [
        ("align_corners", True),
        ("pytorch_half_pixel", True),
        ("asymmetric", True),
        ("half_pixel", False),
        ("half_pixel_symmetric", False),
        ("tf_crop_and_resize", False),
    ],
)
def test_linear_runs_as_asymmetric_unless_the_device_knows_better(graph, nodes, transformation, honoured):
    model = resize(graph, linear(transformation), opset=19)
    assert nodes(coordinates, model) == ([] if honoured else ["resize"])


def test_the_default_of_onnx_is_half_pixel(graph, nodes):
    assert nodes(coordinates, resize(graph, 'mode="linear"')) == ["resize"]


def test_the_shift_is_told_in_pixels(graph):
    # Enlarging by 2, half_pixel samples at x / 2 - 1 / 4 and asymmetric at x / 2.
    (finding,) = coordinates.findings(resize(graph, linear("half_pixel")))
    assert "0.25 pixels along the height" in finding.problem.message
    assert "pytorch_half_pixel" in finding.problem.cure


def test_a_resize_to_the_same_size_is_the_same_whatever_it_says(graph, nodes):
    assert nodes(coordinates, resize(graph, linear("half_pixel"), "1,2,8,16", "1,2,8,16")) == []


def test_nearest_by_2_of_half_pixel_picks_the_pixels_of_asymmetric(graph, nodes):
    model = resize(graph, nearest("half_pixel", "round_prefer_floor"))
    assert nodes(coordinates, model) == []


def test_nearest_by_a_third_of_half_pixel_picks_others(graph):
    # half_pixel picks 3x + 1, the middle of three, and asymmetric 3x, the first.
    model = resize(graph, nearest("half_pixel", "round_prefer_floor"), "1,2,9,18", "1,2,3,6")
    (finding,) = coordinates.findings(model)
    assert "3 of 3 along the height" in finding.problem.message


@pytest.mark.parametrize("nearest_mode", ["floor", "ceil"])
def test_nearest_with_align_corners_runs_as_round(graph, nearest_mode):
    (finding,) = rounding.findings(resize(graph, nearest("align_corners", nearest_mode)))
    assert "`resize-nearest{rounding=half-up}`" in finding.problem.cure
    assert f"nearest_mode {nearest_mode}" in finding.problem.message


def test_nearest_with_align_corners_and_half_up_is_what_the_device_does(graph, nodes):
    assert nodes(rounding, resize(graph, nearest("align_corners", "round_prefer_ceil"))) == []


@pytest.mark.parametrize(("result", "ties"), [("1,2,15,31", True), ("1,2,16,32", False)])
def test_half_down_differs_from_half_up_only_where_a_pixel_falls_between_two(graph, nodes, result, ties):
    # (8 - 1) / (15 - 1) = 1/2 gives ties; 7/15 and 15/31 do not.
    model = resize(graph, nearest("align_corners", "round_prefer_floor"), result=result)
    assert nodes(rounding, model) == (["resize"] if ties else [])


@pytest.mark.parametrize(("nearest_mode", "same"), [("floor", True), ("round_prefer_ceil", False)])
def test_nearest_without_align_corners_runs_as_floor(graph, nodes, nearest_mode, same):
    assert nodes(rounding, resize(graph, nearest("asymmetric", nearest_mode))) == ([] if same else ["resize"])


def test_linear_has_no_rounding(graph, nodes):
    assert nodes(rounding, resize(graph, linear("align_corners"))) == []


def test_without_known_sizes_the_attributes_decide(graph, nodes):
    text = """
        g (float[1,2,H,W] x) => (float[1,2,h,w] y) <float[4] scales = {{1, 1, 2, 2}}>
        {{ [resize] y = Resize<{attributes}>(x, , scales) }}
    """
    assert nodes(coordinates, graph(text.format(attributes=linear("half_pixel")))) == ["resize"]
    assert nodes(coordinates, graph(text.format(attributes=linear("align_corners")))) == []
    assert nodes(rounding, graph(text.format(attributes=nearest("align_corners", "floor")))) == ["resize"]


def test_cubic_is_refused_and_judged_by_no_other_rule(graph, nodes):
    model = resize(graph, 'mode="cubic"')
    assert [nodes(rule, model) for rule in (cubic, coordinates, rounding, side)] == [["resize"], [], [], []]


def test_resize_of_opset_10_lacks_an_input(graph, nodes):
    model = graph(
        """
        g (float[1,2,8,16] x) => (float[1,2,16,32] y)
        <float[4] scales = {1, 1, 2, 2}> { [resize] y = Resize(x, scales) }
        """,
        10,
    )
    assert [nodes(rule, model) for rule in (inputs, coordinates, rounding)] == [["resize"], [], []]


@pytest.mark.parametrize(
    ("source", "result", "leaves"),
    [
        ("1,2,1024,1024", "1,2,1024,2048", False),
        ("1,2,8,1024", "1,2,8,2049", True),
        ("1,2,2049,8", "1,2,8,8", True),
    ],
)
def test_bilinear_leaves_the_ai_core_above_2048(graph, nodes, source, result, leaves):
    model = resize(graph, linear("align_corners"), source, result)
    assert nodes(side, model) == (["resize"] if leaves else [])


def test_nearest_has_no_largest_side(graph, nodes):
    model = resize(graph, nearest("align_corners", "round_prefer_ceil"), "1,2,8,1024", "1,2,8,4096")
    assert nodes(side, model) == []


TRANSFORMATIONS = st.sampled_from(["align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel"])


def coordinate(index, source, result, transformation):
    """Return the source coordinate of a result pixel as the ONNX standard defines it, in exact arithmetic."""
    match transformation:
        case "align_corners":
            return Fraction(index * (source - 1), result - 1) if result > 1 else Fraction(0)
        case "asymmetric":
            return Fraction(index * source, result)
        case "pytorch_half_pixel" if result == 1:
            return Fraction(0)
        case _:
            return Fraction((2 * index + 1) * source, 2 * result) - Fraction(1, 2)


def by_the_standard(source, result, transformation, rounded=lambda exact: exact):
    pixels = [rounded(coordinate(index, source, result, transformation)) for index in range(result)]
    return [float(min(max(pixel, 0), source - 1)) for pixel in pixels]


ROUNDINGS = {
    "round_prefer_floor": lambda exact: math.ceil(exact - Fraction(1, 2)),
    "round_prefer_ceil": lambda exact: math.floor(exact + Fraction(1, 2)),
    "floor": math.floor,
    "ceil": math.ceil,
}


@given(
    source=st.integers(1, 12),
    result=st.integers(1, 24),
    transformation=TRANSFORMATIONS,
    nearest_mode=st.sampled_from(list(ROUNDINGS)),
)
def test_nearest_picks_the_pixels_of_the_onnx_standard(source, result, transformation, nearest_mode):
    pixels = Axis("width", source, result, result / source).pixels(Sampling("nearest", transformation, nearest_mode))
    assert list(pixels) == by_the_standard(source, result, transformation, ROUNDINGS[nearest_mode])


@given(source=st.integers(1, 12), result=st.integers(1, 24), transformation=TRANSFORMATIONS)
def test_linear_samples_where_the_onnx_standard_does(source, result, transformation):
    pixels = Axis("width", source, result, result / source).pixels(Sampling("linear", transformation, "floor"))
    np.testing.assert_allclose(pixels, by_the_standard(source, result, transformation), atol=1e-9)
