"""fast-argmax: labels against a numpy interpolation, on many shapes, and what is left alone."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse, random_input, run
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from properties import examples

from fastscnn_opt.rewriting.manager import PassManager

MODES = ["align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric"]


def positions(mode: str, before: int, after: int, scale: float) -> np.ndarray:
    """Coordinates in the input, one output element at a time, from the ONNX specification of Resize."""
    places = []
    for x in range(after):
        if mode == "align_corners":
            place = 0.0 if after == 1 else x * (before - 1) / (after - 1)
        elif mode == "asymmetric":
            place = x / scale
        elif mode == "pytorch_half_pixel" and after == 1:
            place = 0.0
        else:
            place = (x + 0.5) / scale - 0.5
        places.append(min(max(place, 0), before - 1))
    return np.array(places)


def interpolation(mode: str, before: int, after: int, scale: float) -> np.ndarray:
    """The matrix (after, before) that resizes one axis."""
    matrix = np.zeros((after, before))
    for row, place in zip(matrix, positions(mode, before, after, scale), strict=True):
        low = int(place)
        row[low] += 1 - (place - low)
        if place > low:
            row[low + 1] += place - low
    return matrix


def resized(logits: np.ndarray, mode: str, size: tuple[int, int]) -> np.ndarray:
    rows = interpolation(mode, logits.shape[2], size[0], size[0] / logits.shape[2])
    columns = interpolation(mode, logits.shape[3], size[1], size[1] / logits.shape[3])
    return np.einsum("yh,nchw,xw->ncyx", rows, logits.astype(np.float64), columns)


def segmenter_tail(
    shape: tuple[int, int, int, int], size: tuple[int, int], mode: str = "half_pixel", *, opset: int = 13,
    keepdims: int = 0, cast: bool = True, scales: bool = False, kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:  # fmt: skip
    """Resize and ArgMax of logits of `shape` to `size`, with a Cast to uint8 behind it if `cast`."""
    count, classes, height, width = shape
    constants = {"none": np.zeros(0, np.float32)}
    if scales:
        constants["scales"] = np.array([1, 1, size[0] / height, size[1] / width], np.float32)
        inputs = ["logits", "none", "scales"]
    else:
        constants["sizes"] = np.array([count, classes, *size])
        inputs = ["logits", "none", "none", "sizes"]
    nodes = [
        helper.make_node("Resize", inputs, ["full"], "up", mode="linear", coordinate_transformation_mode=mode),
        helper.make_node("ArgMax", ["full"], ["best"], "best", axis=1, keepdims=keepdims),
    ]
    if cast:
        nodes.append(helper.make_node("Cast", ["best"], ["labels"], "narrow", to=TensorProto.UINT8))
    result = [count, 1, *size] if keepdims else [count, *size]
    output = ("labels", TensorProto.UINT8) if cast else ("best", TensorProto.INT64)
    graph = helper.make_graph(
        nodes,
        "tail",
        [helper.make_tensor_value_info("logits", kind, shape)],
        [helper.make_tensor_value_info(*output, result)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return add_initializers(model, **constants)


def rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    result = PassManager("fast-argmax").run(model)
    assert result.steps[0].changes
    return result.model


def assert_labels(labels: np.ndarray, full: np.ndarray) -> None:
    """Labels are the argmax of the logits `full`, or the chosen logit ties with the best within 1e-4."""
    chosen = np.take_along_axis(full, labels.astype(np.int64)[:, None], axis=1)[:, 0]
    assert (full.max(axis=1) - chosen).max() <= 1e-4 * np.abs(full).max()


sizes = st.integers(1, 9)


@examples(40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 6), sizes, sizes),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mode=st.sampled_from(MODES),
    noise=st.sampled_from([0.05, 0.5, 3]),
    seed=st.integers(0, 2**16),
)
def test_labels_are_those_of_the_full_interpolation(shape, size, mode, noise, seed):
    rng = np.random.default_rng(seed)
    areas = rng.standard_normal((*shape[:2], 1, 1)) * np.linspace(-1, 1, shape[3])
    logits = (areas + noise * rng.standard_normal(shape)).astype(np.float32)
    model = PassManager("fast-argmax", verify=False).run(segmenter_tail(shape, size, mode)).model
    assert_labels(run(model, logits)[0], resized(logits, mode, size))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("noise", [0.02, 0.3, 5])
def test_areas_with_few_and_with_many_uncertain_cells(mode, noise):
    rng = np.random.default_rng(1)
    coarse = rng.standard_normal((2, 5, 4, 6)).repeat(6, axis=2).repeat(5, axis=3)
    logits = (coarse + noise * rng.standard_normal(coarse.shape)).astype(np.float32)
    labels = run(rewritten(segmenter_tail(logits.shape, (96, 150), mode)), logits)[0]
    assert_labels(labels, resized(logits, mode, (96, 150)))


def test_equal_logits_go_to_the_lowest_class():
    logits = np.zeros((1, 4, 3, 3), np.float32)
    logits[0, 2:, :, 2] = 1
    labels = run(rewritten(segmenter_tail(logits.shape, (9, 9), "align_corners")), logits)[0]
    assert labels[0, 0].tolist() == [0, 0, 0, 0, 0, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "form",
    [{"opset": 11}, {"opset": 18}, {"keepdims": 1}, {"cast": False}, {"cast": False, "keepdims": 1}, {"scales": True}],
)
def test_every_form_of_the_tail_keeps_its_output(rewrite, form):
    model = segmenter_tail((1, 3, 4, 5), (16, 20), **form)
    logits = np.random.default_rng(2).standard_normal((1, 3, 4, 5)).astype(np.float32)
    result = rewrite(model, "fast-argmax")
    before, after = run(model, logits)[0], run(result.model, logits)[0]
    assert (before.dtype, before.shape) == (after.dtype, after.shape)
    np.testing.assert_array_equal(before, after)


def test_float16_logits_are_interpolated_in_float32():
    logits = np.random.default_rng(2).standard_normal((1, 3, 4, 5)).astype(np.float16)
    model = rewritten(segmenter_tail((1, 3, 4, 5), (16, 20), kind=TensorProto.FLOAT16))
    assert_labels(run(model, logits)[0], resized(logits, "half_pixel", (16, 20)))


CROSSED = {
    "nothing": [],
    "Transpose": [("Transpose", {"perm": [0, 1, 2, 3]})],
    "Identity": [("Identity", {})],
    "Dropout": [("Dropout", {})],
    "Cast": [("Cast", {"to": TensorProto.FLOAT})],
    "Identity and Transpose": [("Identity", {}), ("Transpose", {"perm": [0, 1, 2, 3]})],
}


@pytest.mark.parametrize("between", CROSSED)
def test_dequantised_logits_run_in_the_engine(between):
    model = segmenter_tail((1, 3, 4, 5), (16, 20))
    operators = [("DequantizeLinear", {}), *CROSSED[between]]
    names = ["bytes", *(f"step_{index}" for index in range(1, len(operators))), "logits"]
    first = [
        helper.make_node(op, [source], [result], **attributes)
        for (op, attributes), (source, result) in zip(operators, pairwise(names), strict=True)
    ]
    first[0].input.extend(["scale", "zero"])
    nodes = [*first, *model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(helper.make_tensor_value_info("bytes", TensorProto.UINT8, (1, 3, 4, 5)))
    parameters = {"scale": np.float32(0.1), "zero": np.uint8(100)}
    add_initializers(model, **parameters)
    stored = np.random.default_rng(2).integers(0, 256, (1, 3, 4, 5), dtype=np.uint8)
    logits = (stored.astype(np.float64) - 100) * 0.1
    assert_labels(run(rewritten(model), stored)[0], resized(logits, "half_pixel", (16, 20)))


def test_labels_true_takes_the_logits_of_an_output(segmenter, rewrite):
    result = rewrite(segmenter, "fast-argmax{labels=true}")
    assert [(change.node, change.what) for change in result.steps[0].changes] == [
        ("output1", "5 logits -> uint8 label map N, H, W"),
        ("output2", "5 logits -> uint8 label map N, H, W"),
        ("output1_argmax", "interpolates 5 classes to 32 x 64 only in uncertain cells"),
        ("output2_argmax", "interpolates 5 classes to 32 x 64 only in uncertain cells"),
    ]
    x = random_input(1, 3, 32, 64)
    for logits, labels in zip(run(segmenter, x), run(result.model, x), strict=True):
        assert labels.dtype == np.uint8
        assert_labels(labels, logits)


@pytest.mark.parametrize("noise", [0.02, 0.3, 5])
def test_more_than_256_classes_have_labels_of_uint16(noise):
    model = parse("""
        g (float[2,300,5,6] logits) => (float[2,300,40,37] y)
        <int64[4] size = {2, 300, 40, 37}> { y = Resize<mode="linear">(logits, , , size) }
    """)
    rng = np.random.default_rng(8)
    areas = 5 * np.eye(300)[rng.integers(200, 300, (2, 2, 3))].transpose(0, 3, 1, 2)
    values = areas.repeat(3, axis=2)[:, :, :5].repeat(2, axis=3) + noise * rng.standard_normal((2, 300, 5, 6))
    logits = values.astype(np.float32)
    result = PassManager("fast-argmax{labels=true}").run(model)
    assert len(result.steps[0].changes) == 2
    assert result.model.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT16
    labels = run(result.model, logits)[0]
    assert labels.dtype == np.uint16
    assert labels.max() > 255
    assert_labels(labels, resized(logits, "half_pixel", (40, 37)))


def test_a_pass_behind_it_is_still_judged_by_the_logits(segmenter):
    result = PassManager("fast-argmax{labels=true},adaptive-avgpool,simplify").run(segmenter)
    assert [step.verified for step in result.steps] == [True, True, True]


def skips(model: onnx.ModelProto) -> dict[str, str]:
    result = PassManager("fast-argmax").run(model)
    assert not result.steps[0].changes
    return {skip.node: skip.why for skip in result.steps[0].skips}


def test_an_output_of_logits_is_left_alone_without_the_option(tiny_model):
    assert skips(tiny_model) == {
        "output1": "holds logits, not labels; labels=true, or argmax-output before, takes labels"
    }


def altered(**attributes: object) -> onnx.ModelProto:
    model = segmenter_tail((1, 3, 4, 5), (8, 10))
    resize = model.graph.node[0]
    kept = [attribute for attribute in resize.attribute if attribute.name not in attributes]
    del resize.attribute[:]
    resize.attribute.extend([*kept, *(helper.make_attribute(key, value) for key, value in attributes.items())])
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (altered(mode="nearest"), "up is nearest, not linear"),
        (altered(mode="cubic"), "up is cubic, not linear"),
        (
            altered(coordinate_transformation_mode="tf_half_pixel_for_nn"),
            "up has the coordinate transformation tf_half_pixel_for_nn",
        ),
        (segmenter_tail((1, 65537, 1, 1), (4, 4)), "65537 classes are more than the 65536 that uint16 can number"),
    ],
)
def test_another_resize_is_left_alone(model, reason):
    assert skips(model) == {"best": reason}


def test_logits_that_something_else_reads_are_left_alone():
    model = segmenter_tail((1, 3, 4, 5), (8, 10))
    model.graph.output.append(helper.make_tensor_value_info("full", TensorProto.FLOAT, (1, 3, 8, 10)))
    assert skips(model)["best"] == "its input is needed in full by a graph output, too"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("best = ArgMax<axis=2>(full)", "is over axis 2, not over the classes"),
        ("best = ArgMax<axis=1, select_last_index=1>(full)", "takes the last of equal logits, not the first"),
        ("n = Neg(full) best = ArgMax<axis=1>(n)", "its input is not made by a Resize but by Neg Neg_1"),
    ],
)
def test_another_argmax_is_left_alone(text, reason):
    shape = "1,3,1,8" if "axis=2" in text else "1,1,8,8"
    model = parse(f"""
        g (float[1,3,4,4] logits) => (int64[{shape}] best) <float[4] s = {{1, 1, 2, 2}}>
        {{ full = Resize<mode="linear">(logits, , s) {text} }}
    """)
    assert list(skips(model).values()) == [reason]


def test_an_open_batch_is_left_alone():
    model = parse("""
        g (float[N,3,4,4] logits) => (int64[N,1,8,8] best) <float[4] s = {1, 1, 2, 2}>
        { full = Resize<mode="linear">(logits, , s) best = ArgMax<axis=1>(full) }
    """)
    assert list(skips(model).values()) == ["its shapes are not fixed; run static-shape{shape=1x3x4x4} first"]


def test_scales_that_do_not_give_the_size_exactly_are_taken_as_they_are():
    model = parse("""
        g (float[1,3,4,4] logits) => (int64[1,1,10,10] best) <float[4] s = {1, 1, 2.6, 2.6}>
        { full = Resize<mode="linear">(logits, , s) best = ArgMax<axis=1>(full) }
    """)
    logits = np.random.default_rng(5).standard_normal((1, 3, 4, 4)).astype(np.float32)
    matrix = interpolation("half_pixel", 4, 10, 2.6)
    full = np.einsum("yh,nchw,xw->ncyx", matrix, logits.astype(np.float64), matrix)
    assert_labels(run(rewritten(model), logits)[0][:, 0], full)
