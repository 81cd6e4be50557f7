"""conv-before-concat: a convolution of joined parts becomes a sum of convolutions, where the device needs that."""

import numpy as np
import onnx
import pytest
import torch
from graphs import add_initializers, operators, parse, random_input, run, skips
from networks import Transformer, traced

from fastscnn_opt.rewriting.manager import PassManager


def network(
    channels: tuple[int, ...] = (24, 40), conv: str = "Conv(joined, w, b)", *, outputs: str = "float[1,5,H,W] y",
    parts: str = "", axis: int = 1, kernel: int = 3, more: str = "", opset: int = 13,
) -> onnx.ModelProto:  # fmt: skip
    """A Concat of one input for each part, and a convolution to 5 channels behind it."""
    inputs = ", ".join(f"float[1,{count},6,8] x{place}" for place, count in enumerate(channels))
    parts = parts or ", ".join(f"x{place}" for place in range(len(channels)))
    text = f"net ({inputs}) => ({outputs}) {{ [join] joined = Concat<axis={axis}>({parts}) [mix] y = {conv} {more} }}"
    weights = random_input(5, sum(channels), kernel, kernel)
    model = parse(text, opset)
    arrays = {"w": weights, "b": random_input(5), "twice": np.concatenate([weights, weights], 1), "g": weights[:, ::2]}
    used = {name for node in model.graph.node for name in node.input}
    return add_initializers(model, **{name: array for name, array in arrays.items() if name in used})


def inputs(*channels: int) -> list[np.ndarray]:
    return [random_input(1, count, 6, 8) + place for place, count in enumerate(channels)]


FORMS = {
    "": {},
    "pads=[1,0,2,1]": {"padding": (1, 2, 0, 1)},
    "strides=[2,1], dilations=[1,2]": {"stride": (2, 1), "dilation": (1, 2)},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("channels", [(24, 40), (18, 36, 72)])
def test_the_sum_is_the_convolution_of_pytorch(rewrite, channels, bias, form):
    arguments = "joined, w, b" if bias else "joined, w"
    result = rewrite(
        network(channels, f"Conv<{form}>({arguments})" if form else f"Conv({arguments})"), "conv-before-concat"
    )
    parts = len(channels)
    assert result.steps[0].verified
    assert sorted(operators(result.model)) == ["Add"] * (parts - 1) + ["Conv"] * parts
    x = inputs(*channels)
    options = dict(FORMS[form])
    top, bottom, left, right = options.pop("padding", (0, 0, 0, 0))
    padded = np.pad(np.concatenate(x, axis=1), ((0, 0), (0, 0), (top, bottom), (left, right)))
    given = [padded, random_input(5, sum(channels), 3, 3), *([random_input(5)] if bias else [])]
    expected = torch.nn.functional.conv2d(
        *(torch.from_numpy(array.astype(np.float64)) for array in given), **options
    ).numpy()
    np.testing.assert_allclose(run(result.model, *x)[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_report_names_the_concat_and_its_parts(rewrite):
    (change,) = rewrite(network((18, 36, 72)), "conv-before-concat").steps[0].changes
    assert (change.node, change.what) == ("join", "3 convolutions of 18, 36 and 72 channels in place of mix")


def test_one_tensor_may_be_several_parts(rewrite):
    model = network((24,), "Conv(joined, twice)", parts="x0, x0", axis=-3)
    assert operators(rewrite(model, "conv-before-concat").model) == ["Conv", "Conv", "Add"]


@pytest.mark.parametrize("channels", [(32, 48), (4, 4, 4), (8, 8), (13, 3)])
def test_what_the_device_joins_in_its_own_layout_stays(channels):
    result = PassManager("conv-before-concat", verify=False).run(network(channels))
    assert result.steps[0].changes == []
    assert "joins" in skips(result)["join"]
    assert "in its own layout; see every=true" in skips(result)["join"]


@pytest.mark.parametrize("channels", [(1, 1), (3, 3), (16, 8), (8, 8, 1)])
def test_other_parts_are_convolved_by_themselves(rewrite, channels):
    assert rewrite(network(channels), "conv-before-concat").steps[0].changes


SKIPS = [
    ({"outputs": "float[1,5,H,W] y, float[1,64,6,8] joined"}, "is an output"),
    ({"more": "z = Relu(joined)", "outputs": "float[1,5,H,W] y, float[1,64,6,8] z"}, "is read by Conv and Relu"),
    ({"conv": "Relu(joined)", "outputs": "float[1,64,6,8] y"}, "is read by Relu, not by one Conv alone"),
    ({"conv": "Conv<group=2>(joined, g)", "outputs": "float[1,5,H,W] y", "channels": (24, 36)}, "convolves in groups"),
    ({"conv": "Conv(joined, v)", "more": "", "outputs": "float[1,5,H,W] y"}, "the weights of mix are not known"),
    ({"conv": "Conv(x0, joined)", "outputs": "float[1,1,H,W] y"}, "mix takes its weights from here"),
]


@pytest.mark.parametrize(("form", "reason"), SKIPS, ids=[reason for _, reason in SKIPS])
def test_what_cannot_be_split_is_left_with_the_reason(form, reason):
    model = network(**form)
    if "v)" in form.get("conv", ""):
        model.graph.input.append(onnx.helper.make_tensor_value_info("v", onnx.TensorProto.FLOAT, [5, 64, 3, 3]))
    if "x0, joined" in form.get("conv", ""):
        model.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("x0", onnx.TensorProto.FLOAT, [1, 24, 6, 8]))
    result = PassManager("conv-before-concat", verify=False).run(model)
    assert result.steps[0].changes == []
    assert reason in skips(result)["join"]


def test_batch_normalisation_is_folded_first(rewrite):
    model = network(
        conv="Conv(joined, w, b)", outputs="float[1,5,4,6] z", more="[norm] z = BatchNormalization(y, o, b, b, o)"
    )
    add_initializers(model, o=np.ones(5, dtype=np.float32))
    assert "run fold-batchnorm first" in skips(PassManager("conv-before-concat", verify=False).run(model))["join"]
    assert operators(rewrite(model, "fold-batchnorm,conv-before-concat").model) == ["Conv", "Conv", "Add"]


def test_channels_that_are_not_known_are_reported():
    model = network()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "C"
    result = PassManager("conv-before-concat", verify=False).run(model)
    assert "the number of channels of x0 is not known; run static-shape" in skips(result)["join"]


def test_another_axis_is_not_considered():
    model = network((8, 8), axis=2, outputs="float[1,5,H,W] y")
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(random_input(5, 8, 3, 3), "w"))
    result = PassManager("conv-before-concat", verify=False).run(model)
    assert (result.steps[0].changes, result.steps[0].skips) == ([], [])


def test_parts_from_an_upsampling_are_then_convolved_before_it(rewrite):
    torch.manual_seed(3)
    model = traced(Transformer(width=16), (1, 3, 64, 96))
    result = rewrite(model, "simplify,conv-before-concat{every=true},conv-before-resize")
    _, split, moved = result.steps
    assert [len(split.changes), len(moved.changes)] == [1, 1]
    assert all(step.verified for step in result.steps)
