"""The rules for CPUs about the nodes of the graph."""

import numpy as np
import pytest
from graphs import parse, random_input

from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.targets.onnxruntime.lint import operators

POOL = "g (float[1,2,16,16] x) => (float[1,2,3,3] y) {{ [pool] y = {0}(x) }}"
ADAPTIVE = POOL.format("vendor.AdaptiveAvgPool2d<output_size=[3,3]>")
UPSAMPLED = """
    g (float[1,3,8,8] x) => (int64[1,16,16] y) <float[4] up = {1, 1, 2, 2}>
    { r = Resize<mode="MODE">(x, , up) [best] y = ArgMax<axis=1, keepdims=0>(r) }
"""
HEAD = """
    g (float[1,3,8,8] x) => (float[1,2,16,16] y) <float[4] up = {1, 1, 2, 2}>
    { r = Resize<mode="linear">(x, , up) [head] y = Conv(r, w) }
"""


def test_adaptive_pooling_is_no_operator_of_onnxruntime(problems, cured):
    (problem,) = problems(operators.adaptive_pooling, ADAPTIVE)
    assert problem.node == "pool"
    assert cured(operators.adaptive_pooling, parse(ADAPTIVE)) == []


def test_adaptive_pooling_is_not_reported_twice(problems):
    assert problems(operators.refused, ADAPTIVE) == []


def test_what_onnxruntime_refuses_is_told_in_its_words(problems):
    (problem,) = problems(operators.refused, POOL.format("vendor.Mystery"))
    assert "Mystery" in problem.message


def test_a_common_model_is_not_refused(problems):
    assert problems(operators.refused, HEAD, w=random_input(2, 3, 1, 1)) == []


def test_an_argmax_behind_an_interpolation_is_slow(problems, cured):
    text = UPSAMPLED.replace("MODE", "linear")
    (problem,) = problems(operators.full_size_argmax, text)
    assert problem.node == "best"
    assert cured(operators.full_size_argmax, parse(text)) == []


def test_an_argmax_behind_nearest_neighbour_has_no_cure(problems):
    assert problems(operators.full_size_argmax, UPSAMPLED.replace("MODE", "nearest")) == []


def test_a_pointwise_convolution_belongs_in_front_of_an_upsampling(problems, cured):
    model = parse(HEAD, w=random_input(2, 3, 1, 1))
    assert [problem.node for problem in problems(operators.late_convolution, model)] == ["head"]
    assert cured(operators.late_convolution, model) == []


def test_a_convolution_of_several_pixels_stays_behind(problems):
    text = HEAD.replace("Conv(", "Conv<pads=[1,1,1,1]>(")
    assert problems(operators.late_convolution, text, w=random_input(2, 3, 3, 3)) == []


JOINED = """
    g (float[1,4,16,16] x, float[1,12,8,8] z) => (float[1,2,h,w] y) <float[4] up = {1, 1, 2, 2}>
    { r = Resize<mode="linear">(z, , up) j = Concat<axis=1>(PARTS) [fuse] y = Conv(j, w) }
"""


def test_a_convolution_of_joined_upsamplings_is_split_before(problems, cured):
    model = parse(JOINED.replace("PARTS", "x, r"), w=random_input(2, 16, 1, 1))
    (problem,) = problems(operators.late_convolution, model)
    assert problem.node == "fuse"
    assert (
        "with 2.3 times the products of their sources" in problem.message
    )  # 16 channels of 256 pixels, or 4 of 256 and 12 of 64
    assert cured(operators.late_convolution, model) == []


def test_sizes_may_be_computed_from_a_fixed_shape(problems, cured):
    text = """
        g (float[1,4,16,16] x, float[1,12,8,8] z) => (float[1,2,h,w] y)
        <int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}>
        {
            shape = Shape(x)
            image = Slice(shape, two, four, zero)
            small = Shape(z)
            others = Slice(small, zero, two, zero)
            sizes = Concat<axis=0>(others, image)
            r = Resize<mode="linear">(z, , , sizes)
            j = Concat<axis=1>(x, r)
            [fuse] y = Conv(j, w)
        }
    """
    model = parse(text, w=random_input(2, 16, 1, 1))
    (problem,) = problems(operators.late_convolution, model)
    assert problem.passes == "conv-before-concat{every=true},conv-before-resize"
    assert cured(operators.late_convolution, model) == []


@pytest.mark.parametrize(("parts", "channels", "kernel"), [("x, x, x, r", 24, 1), ("x, r", 16, 3), ("x, x", 8, 1)])
def test_a_split_that_spares_little_is_not_reported(problems, parts, channels, kernel):
    text, weights = JOINED.replace("PARTS", parts), random_input(2, channels, kernel, kernel)
    assert problems(operators.late_convolution, text, w=weights) == []


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "reported"),
    [(64, 31, 1, ["pool"]), (64, 17, 8, []), (64, 32, 32, []), (64, 3, 1, [])],
)
def test_only_large_windows_that_overlap_are_slow(problems, size, kernel, stride, reported):
    text = f"""
        g (float[1,2,{size},{size}] x) => (float[1,2,a,b] y)
        {{ [pool] y = AveragePool<kernel_shape=[{kernel},{kernel}], strides=[{stride},{stride}]>(x) }}
    """
    assert [problem.node for problem in problems(operators.sliding_pool, text)] == reported


def test_normalisation_behind_a_convolution_can_be_folded(problems, cured):
    text = """
        g (float[1,3,8,8] x) => (float[1,2,8,8] y)
        { c = Conv(x, w) [norm] y = BatchNormalization(c, scale, shift, mean, variance) }
    """
    parameters = dict.fromkeys(("scale", "shift", "mean", "variance"), np.ones(2, np.float32))
    model = parse(text, w=random_input(2, 3, 1, 1), **parameters)
    assert [problem.node for problem in problems(operators.batch_normalisation, model)] == ["norm"]
    assert cured(operators.batch_normalisation, model) == []


@pytest.mark.parametrize(("pads", "reported"), [("[1,1,1,1]", 1), ("[0,0,0,0]", 0)])
def test_uint8_input_keeps_a_subtraction_in_front_of_padding(problems, pads, reported):
    model = parse(
        f"g (float[1,3,8,8] x) => (float[1,2,a,b] y) {{ [first] y = Conv<pads={pads}>(x, w) }}",
        w=random_input(2, 3, 3, 3),
    )
    raw = PassManager("uint8-input").run(model).model
    assert len(problems(operators.padded_first_convolution, raw)) == reported


def test_a_subtraction_in_a_float_model_is_the_users_own(problems):
    text = "g (float[1,3,8,8] x) => (float[1,2,8,8] y) { c = Sub(x, m) y = Conv<pads=[1,1,1,1]>(c, w) }"
    found = problems(
        operators.padded_first_convolution, text, m=np.zeros((1, 3, 1, 1), np.float32), w=random_input(2, 3, 3, 3)
    )
    assert found == []


@pytest.mark.parametrize(
    ("body", "reported"),
    [
        ("(float[1,256,256] x) => (double[1,256,256] y) { y = Cast<to=11>(x) }", ["y"]),
        ("(float[1,3,256,256] x) => (int64[1,256,256] y) { y = ArgMax<axis=1, keepdims=0>(x) }", ["y"]),
        ("(float[1,16,16] x) => (double[1,16,16] y) { y = Cast<to=11>(x) }", []),
        (
            "(float[1,3,256,256] x) => (uint8[1,256,256] y) { a = ArgMax<axis=1, keepdims=0>(x) y = Cast<to=2>(a) }",
            [],
        ),
        ("(float[N,3,4] x) => (float[M,K] y) { s = Shape(x) y = ConstantOfShape(s) }", []),
    ],
)
def test_large_tensors_of_64_bits_are_reported(problems, body, reported):
    assert [problem.node for problem in problems(operators.wide_tensor, f"g {body}")] == reported


@pytest.mark.parametrize(("passes", "reported"), [("fp16", ["first"]), ("fp16-output", [])])
def test_layers_in_float16_are_reported_once(problems, passes, reported):
    model = parse(
        "g (float[1,3,8,8] x) => (float[1,3,8,8] y) { [first] a = Conv(x, w) [second] y = Conv(a, w) }",
        w=random_input(3, 3, 1, 1),
    )
    half = PassManager(passes).run(model).model
    assert [problem.node for problem in problems(operators.half_precision, half)] == reported
