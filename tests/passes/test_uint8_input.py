"""uint8-input: raw images against images normalised in numpy, at the border too, and inputs that are left alone."""

import numpy as np
import onnx
import pytest
from graphs import add_initializers, operators, parse, run

from fastscnn_opt.errors import PassError, PipelineError
from fastscnn_opt.model.metadata import Metadata, add_metadata, metadata_of
from fastscnn_opt.rewriting.manager import PassManager

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def network(convolution: str, weight: tuple[int, ...], bias: int | None = None) -> onnx.ModelProto:
    rng = np.random.default_rng(4)
    arguments = "image, w" + (", b" if bias else "")
    model = parse(f"g (float[2,3,9,8] image) => (float[a,b,c,d] y) {{ [conv] y = Conv{convolution}({arguments}) }}")
    add_initializers(model, w=rng.standard_normal(weight, dtype=np.float32))
    return add_initializers(model, b=rng.standard_normal(bias, dtype=np.float32)) if bias else model


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (2, 9, 8, 3), dtype=np.uint8)


def normalised(pixels: np.ndarray, mean: np.ndarray = MEAN, std: np.ndarray = STD) -> np.ndarray:
    return ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)


CONVOLUTIONS = {
    "no padding": ("<strides=[2,2]>", (4, 3, 3, 3), 4),
    "without bias": ("", (4, 3, 1, 1), None),
    "depthwise": ("<group=3>", (6, 1, 3, 3), 6),
    "padded": ("<pads=[1,1,1,1]>", (4, 3, 3, 3), 4),
    "padded by name": ('<auto_pad="SAME_UPPER">', (4, 3, 3, 3), None),
    "one side padded, dilated": ("<pads=[0,0,2,1], dilations=[2,1]>", (4, 3, 3, 2), 4),
}


@pytest.mark.parametrize("form", CONVOLUTIONS)
def test_raw_images_give_what_normalised_ones_gave(rewrite, pixels, form):
    model = network(*CONVOLUTIONS[form])
    result = rewrite(model, "uint8-input")
    np.testing.assert_allclose(run(result.model, pixels)[0], run(model, normalised(pixels))[0], atol=2e-5)


def test_without_padding_no_node_is_left_of_the_normalisation(rewrite):
    result = rewrite(network(*CONVOLUTIONS["no padding"]), "uint8-input")
    assert operators(result.model) == ["Transpose", "Cast", "Conv"]
    assert [change.what for change in result.steps[0].changes] == [
        "float32 N, C, H, W -> uint8 nhwc, the normalisation folded into conv"
    ]


def test_with_padding_the_mean_is_subtracted(rewrite):
    result = rewrite(network(*CONVOLUTIONS["padded"]), "uint8-input")
    assert operators(result.model) == ["Transpose", "Cast", "Sub", "Conv"]


def test_planes_need_no_transpose(rewrite, pixels):
    model = network(*CONVOLUTIONS["no padding"])
    result = rewrite(model, "uint8-input{layout=nchw}")
    assert operators(result.model) == ["Cast", "Conv"]
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(run(result.model, planes)[0], run(model, normalised(pixels))[0], atol=2e-5)


def test_the_mean_and_deviation_of_the_training_can_be_given(rewrite, pixels):
    model = network(*CONVOLUTIONS["no padding"])
    result = rewrite(model, "uint8-input{mean=0.5|0.25|0 std=1|0.5|0.125}")
    wanted = normalised(pixels, np.array([0.5, 0.25, 0]), np.array([1, 0.5, 0.125]))
    np.testing.assert_allclose(run(result.model, pixels)[0], run(model, wanted)[0], atol=5e-5)


BGR = {"image_mean": [103.53, 116.28, 123.675], "image_std": [57.375, 57.12, 58.395], "rescale_factor": 1.0}


def stating(model, **preprocess):
    add_metadata(model, Metadata(preprocess=preprocess))
    return model


def test_the_preprocessing_that_the_model_states_is_folded(rewrite, pixels):
    model = stating(network(*CONVOLUTIONS["no padding"]), **BGR)
    result = rewrite(model, "uint8-input")
    wanted = ((pixels - np.array(BGR["image_mean"])) / BGR["image_std"]).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(run(result.model, pixels)[0], run(model, wanted)[0], atol=2e-5)
    assert result.steps[0].skips == []


def test_what_is_given_wins_over_what_the_model_states(rewrite, pixels):
    model = stating(network(*CONVOLUTIONS["no padding"]), **BGR)
    result = rewrite(model, "uint8-input{mean=0.5 std=0.25}")
    wanted = normalised(pixels, np.array([0.5] * 3), np.array([0.25] * 3))
    np.testing.assert_allclose(run(result.model, pixels)[0], run(model, wanted)[0], atol=5e-5)


def test_afterwards_the_model_states_that_it_takes_bytes(rewrite):
    model = stating(network(*CONVOLUTIONS["no padding"]), channel_order="bgr", **BGR)
    assert metadata_of(rewrite(model, "uint8-input").model).preprocess == {
        "image_mean": [0.0],
        "image_std": [1.0],
        "rescale_factor": 1.0,
        "channel_order": "bgr",
    }


def test_afterwards_the_model_states_what_is_in_its_weights(rewrite):
    model = stating(network(*CONVOLUTIONS["no padding"]), **BGR)
    folded = metadata_of(rewrite(model, "uint8-input").model).folded
    np.testing.assert_allclose(folded["image_mean"], np.array(BGR["image_mean"]) / 255)
    np.testing.assert_allclose(folded["image_std"], np.array(BGR["image_std"]) / 255)
    assert folded["rescale_factor"] == 1 / 255


def test_imagenet_is_only_assumed_with_a_word(rewrite):
    (skip,) = rewrite(network(*CONVOLUTIONS["no padding"]), "uint8-input").steps[0].skips
    assert skip.why == "nothing states its mean and deviation, so ImageNet's are assumed"


def grey_network():
    return parse(
        """
        g (float[1,1,9,8] image) => (float[1,2,7,6] y) { [conv] y = Conv(image, w) }
    """,
        w=np.random.default_rng(4).normal(size=(2, 1, 3, 3)).astype(np.float32),
    )


def test_grey_images_with_a_stated_mean_become_bytes(rewrite, pixels):
    model, grey = grey_network(), pixels[:1, ..., :1]
    result = rewrite(model, "uint8-input{mean=0.4 std=0.2}")
    np.testing.assert_allclose(
        run(result.model, grey)[0], run(model, normalised(grey, np.array([0.4]), np.array([0.2])))[0], atol=2e-5
    )


def test_the_mean_of_grey_images_is_not_guessed():
    with pytest.raises(PassError, match=r"one channel, and its mean or deviation is not stated.*uint8-input\{mean="):
        PassManager("uint8-input").run(grey_network())


def test_two_convolutions_that_read_the_image_are_both_changed(rewrite, pixels):
    model = parse("""
        g (float[2,3,9,8] image) => (float[2,1,9,8] a, float[2,1,9,8] b)
        { [one] a = Conv(image, v) [two] b = Conv<pads=[1,1,1,1]>(image, w) }
    """)
    rng = np.random.default_rng(6)
    shapes = {"v": (1, 3, 1, 1), "w": (1, 3, 3, 3)}
    add_initializers(model, **{name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()})
    result = rewrite(model, "uint8-input")
    for before, after in zip(run(model, normalised(pixels)), run(result.model, pixels), strict=True):
        np.testing.assert_allclose(after, before, atol=2e-5)


@pytest.mark.parametrize("pads", ["0,0,0,0", "1,1,1,1"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_a_node_that_reads_only_the_size_reads_that_of_the_image_as_before(rewrite, pixels, layout, pads):
    model = parse(f"""
        g (float[2,3,h,w] image) => (float[2,4,a,b] y)
        {{
            [conv] low = Conv<strides=[2,2], pads=[{pads}]>(image, w)
            [size] all = Shape(image)
            start = Constant<value_ints=[2]>() end = Constant<value_ints=[4]>()
            last = Slice(all, start, end)
            [low_size] small = Shape(low)
            front = Constant<value_ints=[0]>()
            first = Slice(small, front, start)
            sizes = Concat<axis=0>(first, last)
            y = Resize<mode="linear">(low, , , sizes)
        }}
    """)
    add_initializers(model, w=np.random.default_rng(4).standard_normal((4, 3, 3, 3), dtype=np.float32))
    result = rewrite(model, f"uint8-input{{layout={layout}}}")
    assert result.steps[0].changes[0].what.endswith("folded into conv")
    raw = pixels if layout == "nhwc" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(run(result.model, raw)[0], run(model, normalised(pixels))[0], atol=2e-5)


def test_the_input_keeps_its_name(rewrite):
    value = rewrite(network(*CONVOLUTIONS["no padding"]), "uint8-input").model.graph.input[0]
    assert value.name == "image"
    assert value.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == [2, 9, 8, 3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("g (uint8[1,3,4,4] x) => (float[1,3,4,4] y) { y = Cast<to=1>(x) }", "is uint8 already"),
        ("g (float[1,4,4,4] x) => (float[1,4,4,4] y) { y = Relu(x) }", "its shape is [1, 4, 4, 4], not that of images"),
        ("g (int32[1,3,4,4] x) => (float[1,3,4,4] y) { y = Cast<to=1>(x) }", "is int32, not float32"),
        ("g (float[1,3,4,4] x) => (float[1,3,4,4] y) { [r] y = Relu(x) }", "Relu r reads it, and only a convolution"),
        ("g (float[1,3,4,4] x) => (int64[4] y) { y = Shape(x) }", "no node reads its values"),
        (
            """g (float[1,3,4,4] x) => (float[1,3,4,4] y) <float s = {1}, uint8 z = {0}>
            { [q] a = QuantizeLinear(x, s, z) y = DequantizeLinear(a, s, z) }""",
            "is quantised by q; run uint8-input before int8",
        ),
        (
            "g (float[1,3,4,4] x, float[1,3,1,1] w) => (float[1,1,4,4] y) { [c] y = Conv(x, w) }",
            "the weights of c are not constant",
        ),
    ],
)
def test_another_input_is_left_alone(text, reason):
    result = PassManager("uint8-input").run(parse(text))
    assert not result.steps[0].changes
    assert result.steps[0].skips[0].why.startswith(reason)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("mean=0.5|0.5", "mean takes one value, or three"),
        ("std=1|0|1", "std takes values above 0"),
        ("layout=hwc", "nhwc"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(PipelineError, match=message):
        PassManager(f"uint8-input{{{options}}}")


def test_labels_behind_it_are_judged_by_their_logits(segmenter):
    result = PassManager("adaptive-avgpool,fast-argmax{labels=true},uint8-input").run(segmenter)
    assert [step.verified for step in result.steps] == [True, True, True]


def test_an_empty_bias_is_none(rewrite, pixels):
    model = network(*CONVOLUTIONS["without bias"])
    expected = run(model, normalised(pixels))[0]
    model.graph.node[0].input.append("")
    result = rewrite(model, "uint8-input")
    assert result.steps[0].changes
    np.testing.assert_allclose(run(result.model, pixels)[0], expected, atol=2e-5)


@pytest.mark.parametrize(("weight", "bias"), [((4,), None), ((4, 2, 1, 1), None), ((4, 3, 1, 1), 5)])
def test_weights_that_do_not_fit_the_image_are_left_alone(weight, bias):
    (step,) = PassManager("uint8-input", verify=False).run(network("", weight, bias)).steps
    assert [skip.why for skip in step.skips] == ["the weights or the bias of conv do not fit an image of 3 channels"]
