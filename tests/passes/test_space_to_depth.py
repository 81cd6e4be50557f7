"""space-to-depth: the same integers from grouped pixels, and convolutions that are left alone."""

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse, run
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from properties import examples

from fastscnn_opt.errors import PipelineError
from fastscnn_opt.rewriting.manager import PassManager


def quantised_stem(
    width: int = 16, kernel: tuple[int, int] = (3, 3), stride: int = 2, pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: int = 1, *, bias: bool = True, activation: str = "Relu",
) -> onnx.ModelProto:  # fmt: skip
    """A convolution in QDQ form on a uint8 image 2 x 9 x width x 3, with 5 filters."""
    rng = np.random.default_rng(8)
    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "w": rng.integers(-127, 128, (5, 3, *kernel)).astype(np.int8),
        "w_scale": rng.uniform(0.001, 0.01, 5).astype(np.float32),
        "w_zero": np.zeros(5, np.int8),
        "b": rng.integers(-500, 500, 5).astype(np.int32),
        "b_zero": np.zeros(5, np.int32),
        "y_scale": np.float32(0.5),
        "y_zero": np.uint8(60),
    }
    convolution = {"strides": [2, stride], "pads": pads, "dilations": [1, dilation], "kernel_shape": kernel}
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["planes", "one", "zero"], ["x"], "read"),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["weight"], "weight", axis=0),
        helper.make_node("DequantizeLinear", ["b", "w_scale", "b_zero"], ["bias"], "bias", axis=0),
        helper.make_node("Conv", ["x", "weight", *(["bias"] if bias else [])], ["c"], "stem", **convolution),
        helper.make_node(activation, ["c"], ["r"], "activation"),
        helper.make_node("QuantizeLinear", ["r", "y_scale", "y_zero"], ["q"], "quantise"),
        helper.make_node("DequantizeLinear", ["q", "y_scale", "y_zero"], ["y"], "dequantise"),
    ]
    graph = helper.make_graph(
        nodes,
        "stem",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (2, 9, width, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", "c", "h", "w"))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return add_initializers(model, **constants)


def pixels(width: int) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 256, (2, 9, width, 3), dtype=np.uint8)


def sums(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    """The result of the stem, from integer sums over a padded image, one column of the result after the other."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    settings = {attribute.name: list(attribute.ints) for attribute in conv.attribute}
    top, left, bottom, right = settings["pads"]
    padded = np.pad(image.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    weight, dilation = constants["w"].astype(np.int64), settings["dilations"][1]
    reach = dilation * (weight.shape[3] - 1) + 1
    rows = range(0, padded.shape[1] - weight.shape[2] + 1, settings["strides"][0])
    columns = range(0, padded.shape[2] - reach + 1, settings["strides"][1])
    result = np.zeros((len(image), 5, len(rows), len(columns)), np.int64)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = padded[:, row : row + weight.shape[2], column : column + reach : dilation]
            result[:, :, i, j] = np.einsum("nhwc,fchw->nf", window, weight)
    result += constants["b"][:, None, None] if len(conv.input) > 2 else 0
    real = np.maximum(result * constants["w_scale"].astype(np.float64)[:, None, None], 0)
    steps = np.clip(np.round(real / 0.5) + 60, 0, 255)
    return (steps - 60) * 0.5


@st.composite
def stems(draw) -> tuple[int, onnx.ModelProto]:
    """The number of pixels of a group, and a convolution with one result or more along each axis."""
    count, stride = draw(st.sampled_from([(2, 1), (4, 1), (4, 2), (6, 2), (6, 3)]))
    kernel, dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 5))), draw(st.integers(1, 2))
    left, right = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    reach = dilation * (kernel[1] - 1) + 1 - left - right
    width = count * draw(st.integers(max(2, -(-reach // count)), 5))
    return count, quantised_stem(width, kernel, stride, (1, left, 0, right), dilation)


@examples(25)
@given(stems())
def test_the_sums_are_those_of_single_pixels(stem):
    import onnxruntime as ort

    count, model = stem
    image = pixels(model.graph.input[0].type.tensor_type.shape.dim[2].dim_value)
    result = PassManager(f"space-to-depth{{pixels={count}}}").run(model)
    assert result.steps[0].changes or "leaves out columns" in result.steps[0].skips[0].why
    session = ort.InferenceSession(result.model.SerializeToString(), providers=["CPUExecutionProvider"])
    given_by_pass = session.run(None, {"image": image})[0]
    # A sum just between two steps may go either way, since the engine multiplies scales in float32.
    assert np.abs(given_by_pass - sums(model, image)).max() <= 0.5
    assert (given_by_pass != sums(model, image)).mean() < 0.01


@pytest.mark.parametrize("form", [{}, {"bias": False}, {"pads": (1, 1, 1, 1)}, {"stride": 1, "kernel": (1, 1)}])
def test_the_result_keeps_every_bit(rewrite, form):
    model = quantised_stem(**form)
    result = rewrite(model, "space-to-depth")
    assert result.steps[0].changes
    np.testing.assert_array_equal(run(result.model, pixels(16))[0], run(model, pixels(16))[0])


def test_the_report_tells_what_is_read_at_once(rewrite):
    changes = rewrite(quantised_stem(), "space-to-depth").steps[0].changes
    assert [(change.node, change.what) for change in changes] == [
        ("stem", "reads 4 pixels as 12 channels, 2 results at once")
    ]


def float_stem() -> onnx.ModelProto:
    return parse("""
        g (uint8[1,4,8,3] image) => (float[1,1,4,8] y) <float[1,3,1,1] w = {1, 2, 3}>
        { [turn] t = Transpose<perm=[0,3,1,2]>(image) f = Cast<to=1>(t) y = Conv(f, w) }
    """)


def test_a_convolution_in_float_is_left_alone():
    result = PassManager("space-to-depth").run(float_stem())
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [
        ("turn", "Cast Cast_1 reads its result, so the image is not quantised; run int8 before")
    ]


@pytest.mark.parametrize(
    ("form", "options", "reason"),
    [
        ({"width": 18}, "", "the width 18 is no multiple of pixels=4"),
        ({"stride": 3}, "", "pixels=4 is no larger multiple of the stride 3 of stem"),
        ({"stride": 2}, "{pixels=2}", "pixels=2 is no larger multiple of the stride 2 of stem"),
        ({"activation": "Neg"}, "", "the result of stem is not quantised at once"),
    ],
)
def test_what_does_not_fit_is_left_alone(form, options, reason):
    result = PassManager(f"space-to-depth{options}").run(quantised_stem(**form))
    assert [skip.why for skip in result.steps[0].skips] == [reason]


def test_one_pixel_is_no_group():
    with pytest.raises(PipelineError, match="pixels=1 groups nothing"):
        PassManager("space-to-depth{pixels=1}")


@pytest.mark.parametrize("inner", ["planes", "x", "c", "r"])
def test_a_tensor_that_is_an_output_keeps_its_shape(inner):
    model = quantised_stem()
    kind = TensorProto.UINT8 if inner == "planes" else TensorProto.FLOAT
    model.graph.output.append(helper.make_tensor_value_info(inner, kind, ("n", "c", "h", "w")))
    result = PassManager("space-to-depth").run(model)
    assert [skip.why for skip in result.steps[0].skips] == [f"{inner}, whose shape would change, is a graph output"]
    assert result.model.graph.node == model.graph.node


def test_what_the_quantised_result_is_called_may_be_an_output(rewrite):
    model = quantised_stem()
    model.graph.output.append(helper.make_tensor_value_info("q", TensorProto.UINT8, ("n", "c", "h", "w")))
    result = rewrite(model, "space-to-depth")
    assert result.steps[0].changes
    np.testing.assert_array_equal(run(result.model, pixels(16))[1], run(model, pixels(16))[1])


def test_an_image_in_planes_is_left_alone():
    model = parse("""
        g (uint8[1,3,4,8] image) => (float[1,1,4,8] y) <float[1,3,1,1] w = {1, 2, 3}>
        { [cast] f = Cast<to=1>(image) y = Conv(f, w) }
    """)
    result = PassManager("space-to-depth").run(model)
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [
        ("cast", "is no Transpose that puts the channels of a uint8 image first, as uint8-input{layout=nhwc} makes it")
    ]


def test_an_empty_bias_is_none(rewrite):
    model = quantised_stem(bias=False)
    next(node for node in model.graph.node if node.name == "stem").input.append("")
    result = rewrite(model, "space-to-depth")
    assert result.steps[0].changes
    np.testing.assert_array_equal(run(result.model, pixels(16))[0], run(model, pixels(16))[0])
