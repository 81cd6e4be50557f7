"""conv-before-resize: 1x1 convolutions change places with the upsampling in front of them, and nothing else does."""

import numpy as np
import onnx
import pytest
from graphs import add_initializers, operators, parse, random_input, run
from onnx import numpy_helper

from fastscnn_opt.rewriting.manager import PassManager

WEIGHT = np.random.default_rng(0).standard_normal((5, 3, 1, 1)).astype(np.float32)
BIAS = np.random.default_rng(1).standard_normal(5).astype(np.float32)


def network(
    attributes: str = 'mode="linear"', conv: str = "Conv(up, w, b)", *, outputs: str = "float[1,5,8,12] y",
    inputs: str = "image, , scales", opset: int = 13, resize: str = "Resize", shape: str = "1,3,4,6", more: str = "",
) -> onnx.ModelProto:  # fmt: skip
    """A Resize to twice the size, and a convolution behind it."""
    text = f"""
        net (float[{shape}] image) => ({outputs})
        {{ [enlarge] up = {resize}<{attributes}>({inputs}) [mix] y = {conv} {more} }}
    """
    model = parse(text, opset)
    arrays = {"scales": np.float32([1, 1, 2, 2]), "sizes": np.array([1, 3, 8, 12]), "w": WEIGHT, "b": BIAS}
    used = {name for node in model.graph.node for name in node.input}
    return add_initializers(model, **{name: array for name, array in arrays.items() if name in used})


MODES = ['mode="linear"', 'mode="nearest"', 'mode="cubic"', 'mode="cubic", exclude_outside=1']
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("inputs", ["image, , scales", "image, , , sizes"])
def test_the_convolution_comes_first_in_every_mode(rewrite, mode, coordinates, inputs):
    model = network(f'{mode}, coordinate_transformation_mode="{coordinates}"', inputs=inputs)
    result = rewrite(model, "conv-before-resize")
    assert result.steps[0].verified
    assert operators(result.model) == ["Conv", "Resize"]
    assert [(change.node, change.what) for change in result.steps[0].changes] == [
        ("mix", "convolves 4 x 6 pixels, before enlarge makes 8 x 12 of them")
    ]


def test_the_result_is_that_of_numpy(rewrite):
    model = rewrite(network('mode="nearest", coordinate_transformation_mode="asymmetric"'), "conv-before-resize").model
    x = random_input(1, 3, 4, 6)
    large = x.repeat(2, axis=2).repeat(2, axis=3).astype(np.float64)
    expected = np.einsum("oc,nchw->nohw", WEIGHT[:, :, 0, 0], large) + BIAS[:, None, None]
    np.testing.assert_allclose(run(model, x)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("opset", "form"),
    [
        (9, {"resize": "Upsample", "inputs": "image, scales"}),
        (10, {"inputs": "image, scales"}),
        (18, {"attributes": 'mode="linear", axes=[2, 3]', "inputs": "image, , , spatial"}),
    ],
)
def test_every_form_of_the_operator_is_known(rewrite, opset, form):
    model = network(opset=opset, **form)
    if "spatial" in form["inputs"]:
        add_initializers(model, spatial=np.array([8, 12]))
    assert operators(rewrite(model, "conv-before-resize").model)[0] == "Conv"


@pytest.mark.parametrize("conv", ["Conv(up, w)", 'Conv<auto_pad="SAME_UPPER">(up, w, b)', "Conv<group=3>(up, deep)"])
def test_every_pointwise_convolution_moves(rewrite, conv):
    model = network(conv=conv, outputs=f"float[1,{3 if 'deep' in conv else 5},8,12] y")
    if "deep" in conv:
        add_initializers(model, deep=WEIGHT[:3, :1])
    assert operators(rewrite(model, "conv-before-resize").model) == ["Conv", "Resize"]


def test_it_moves_in_front_of_several_upsamplings(rewrite):
    model = network(conv="Conv(larger, w, b)", outputs="float[1,5,16,24] y")
    second = onnx.helper.make_node("Resize", ["up", "", "scales"], ["larger"], "again")
    model.graph.node.insert(1, second)
    result = rewrite(model, "conv-before-resize")
    assert operators(result.model) == ["Conv", "Resize", "Resize"]


SKIPS = [
    (
        {"outputs": "float[1,5,8,12] y, float[1,3,8,12] up"},
        "an output also reads the result of enlarge",
    ),
    ({"outputs": "float[1,5,8,12] y, float[1,3,8,12] z", "more": "z = Relu(up)"}, "also reads the result of enlarge"),
    ({"shape": "1,3,N,6", "outputs": "float[1,5,M,12] y"}, "are not fixed"),
    (
        {"attributes": 'coordinate_transformation_mode="tf_crop_and_resize"', "inputs": "image, roi, scales"},
        "enlarge crops, and has a value of its own for what lies outside",
    ),
]


@pytest.mark.parametrize(("form", "reason"), SKIPS, ids=[reason for _, reason in SKIPS])
def test_what_cannot_change_places_is_left_alone_with_the_reason(form, reason):
    model = network(**form)
    if "roi" in form.get("inputs", ""):
        add_initializers(model, roi=np.float32([0, 0, 0, 0, 1, 1, 1, 1]))
    (step,) = PassManager("conv-before-resize", verify=False).run(model).steps
    assert not step.changes
    assert [skip.node for skip in step.skips] == ["mix"]
    assert reason in step.skips[0].why


@pytest.mark.parametrize(
    ("scales", "outputs", "reason"),
    [
        ([1, 1, 0.5, 0.5], "float[1,5,2,3] y", "makes no more pixels than there were"),
        ([1, 1, 1, 1], "float[1,5,4,6] y", "makes no more pixels than there were"),
        ([2, 1, 2, 2], "float[2,5,8,12] y", "resizes more than height and width"),
        ([1, 1.2, 2, 2], "float[1,5,8,12] y", "resizes more than height and width"),  # 3.6 channels are 3, and 6 are 5
    ],
)
def test_another_resize_is_left_alone_with_the_reason(scales, outputs, reason):
    model = network('mode="nearest"', outputs=outputs)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(scales), "scales"))
    (step,) = PassManager("conv-before-resize", verify=False).run(model).steps
    assert (step.changes, [reason in skip.why for skip in step.skips]) == ([], [True])


def test_a_resize_that_names_the_channels_is_left_alone():
    model = network('mode="linear", axes=[1, 2, 3]', inputs="image, , , three", opset=18)
    add_initializers(model, three=np.array([3, 8, 12]))
    (step,) = PassManager("conv-before-resize", verify=False).run(model).steps
    assert (step.changes, [skip.node for skip in step.skips]) == ([], ["mix"])


@pytest.mark.parametrize("axes", ["", ", axes=[2, 3]"])
def test_sizes_that_are_computed_from_a_fixed_shape_are_known(rewrite, axes):
    sizes = "many" if axes else "sizes"
    text = f"""
        net (float[1,3,4,6] image) => (float[1,5,8,12] y) {{
            shape = Shape(image) few = Slice(shape, two, four) many = Mul(few, twos)
            first = Slice(shape, zero, two) sizes = Concat<axis=0>(first, many)
            [enlarge] up = Resize<mode="linear"{axes}>(image, , , {sizes}) [mix] y = Conv(up, w, b)
        }}
    """
    whole = {"zero": [0], "two": [2], "four": [4], "twos": [2, 2]}
    model = add_initializers(
        parse(text, 18), w=WEIGHT, b=BIAS, **{key: np.array(value) for key, value in whole.items()}
    )
    result = rewrite(model, "conv-before-resize")
    assert [change.node for change in result.steps[0].changes] == ["mix"]
    assert operators(result.model)[-2:] == ["Conv", "Resize"]


def test_computed_factors_are_left_alone():
    model = network(inputs="image, , computed", more="computed = Abs(scales)")
    nodes = [model.graph.node[2], *model.graph.node[:2]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    (step,) = PassManager("conv-before-resize", verify=False).run(model).steps
    assert step.changes == []
    assert len(step.skips) == 1


@pytest.mark.parametrize(
    ("conv", "size"),
    [("Conv<pads=[1,1,1,1]>(up, w, b)", "10,14"), ("Conv<strides=[2,2]>(up, w, b)", "4,6"), ("Conv(up, wide)", "6,10")],
)
def test_a_convolution_that_mixes_or_skips_pixels_is_not_looked_at(conv, size):
    model = network(conv=conv, outputs=f"float[1,5,{size}] y")
    if "wide" in conv:
        add_initializers(model, wide=np.ones((5, 3, 3, 3), np.float32))
    (step,) = PassManager("conv-before-resize", verify=False).run(model).steps
    assert (step.changes, step.skips) == ([], [])


def test_labels_behind_a_late_classifier_are_interpolated_only_in_uncertain_cells(rewrite):
    result = rewrite(network(), "conv-before-resize,fast-argmax{labels=true}")
    assert [change.what for change in result.steps[1].changes][-1].startswith("interpolates 5 classes")
