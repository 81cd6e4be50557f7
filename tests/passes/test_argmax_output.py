"""argmax-output: label maps against numpy, ties, and outputs that are no logits."""

import numpy as np
import onnx
import pytest
from graphs import add_initializers, operators, parse, random_input, run
from onnx import TensorProto

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.manager import PassManager


def skips(result) -> dict[str, str]:
    return {skip.node: skip.why for skip in result.steps[0].skips}


def signature(model: onnx.ModelProto) -> list[tuple[str, int, list[int]]]:
    return [
        (output.name, output.type.tensor_type.elem_type, [dim.dim_value for dim in output.type.tensor_type.shape.dim])
        for output in model.graph.output
    ]


def test_logits_become_a_uint8_label_map_under_their_name(segmenter, rewrite):
    result = rewrite(segmenter, "argmax-output")
    assert signature(result.model) == [
        ("output1", TensorProto.UINT8, [1, 32, 64]),
        ("output2", TensorProto.UINT8, [1, 32, 64]),
    ]
    assert [change.what for change in result.steps[0].changes] == ["5 logits -> uint8 label map N, H, W"] * 2
    assert result.steps[0].verified is True


@pytest.mark.parametrize("opset", [9, 11, 12, 13, 18])
def test_labels_are_those_of_numpy_in_every_opset(rewrite, opset):
    model = parse("g (float[2,6,3,4] x) => (float[2,6,3,4] y) { y = Neg(x) }", opset=opset)
    x = random_input(2, 6, 3, 4)
    np.testing.assert_array_equal(run(rewrite(model, "argmax-output").model, x)[0], np.argmax(-x, axis=1))


def test_the_lowest_index_wins_a_tie(rewrite):
    model = parse("g (float[1,3,1,2] x) => (float[1,3,1,2] y) { y = Identity(x) }")
    x = np.array([[1, 0], [2, 0], [2, 0]], dtype=np.float32).reshape(1, 3, 1, 2)
    assert run(rewrite(model, "argmax-output").model, x)[0].ravel().tolist() == [1, 0]


def test_float16_logits_are_taken_too(segmenter, rewrite):
    result = rewrite(segmenter, "fp16-output,argmax-output")
    assert [step.verified for step in result.steps] == [True, True]
    x = random_input(1, 3, 32, 64)
    logits = run(segmenter, x)[0].astype(np.float16)
    assert (run(result.model, x)[0] == logits.argmax(axis=1)).mean() > 0.999


def test_a_softmax_in_front_stays(rewrite):
    model = parse("g (float[1,4,2,2] x) => (float[1,4,2,2] y) { y = Softmax<axis=1>(x) }")
    result = rewrite(model, "argmax-output")
    x = random_input(1, 4, 2, 2)
    np.testing.assert_array_equal(run(result.model, x)[0], x.argmax(axis=1))
    assert result.model.graph.node[0].op_type == "Softmax"


def test_a_node_that_reads_the_logits_still_does(rewrite):
    model = parse("""
        g (float[1,4,2,2] x) => (float[1,4,2,2] y, float[1,4] z) { y = Neg(x) z = ReduceMax<axes=[2,3], keepdims=0>(y) }
    """)
    x = random_input(1, 4, 2, 2)
    np.testing.assert_array_equal(run(rewrite(model, "argmax-output").model, x)[1], (-x).max(axis=(2, 3)))


@pytest.mark.parametrize(
    ("declaration", "why"),
    [
        ("uint8[1,4,2,2]", "is uint8, not float logits"),
        ("float[1,4]", "has 2 dimensions, not the four of logits N, C, H, W"),
        ("float[1,1,2,2]", "has one channel, so its label would always be 0"),
    ],
)
def test_outputs_that_are_no_logits_are_left_alone(rewrite, declaration, why):
    result = rewrite(parse(f"g ({declaration} x) => ({declaration} y) {{ y = Identity(x) }}"), "argmax-output")
    assert result.steps[0].changes == []
    assert skips(result) == {"y": why}


LABEL_MAPS = [
    ("int64[2,3,4]", "y = ArgMax<axis=1, keepdims=0>(x)", ["ArgMax", "Cast"]),
    ("int64[2,1,3,4]", "y = ArgMax<axis=-3>(x)", ["ArgMax", "Cast"]),
    ("int64[2,1,3,4]", "a = ArgMax<axis=1, keepdims=0>(x) y = Unsqueeze(a, one)", ["ArgMax", "Unsqueeze", "Cast"]),
    ("int32[2,3,4]", "a = ArgMax<axis=1, keepdims=0>(x) y = Cast<to=6>(a)", ["ArgMax", "Cast"]),
]


@pytest.mark.parametrize(("declaration", "nodes", "after"), LABEL_MAPS)
def test_a_wide_label_map_that_an_argmax_makes_becomes_uint8(rewrite, declaration, nodes, after):
    model = parse(f"g (float[2,6,3,4] x) => ({declaration} y) <int64[1] one = {{1}}> {{ {nodes} }}")
    result = rewrite(model, "argmax-output")
    kind, _, sizes = declaration.partition("[")
    assert [change.what for change in result.steps[0].changes] == [f"label map of 6 classes, {kind} -> uint8"]
    assert operators(result.model) == after
    assert signature(result.model) == [("y", TensorProto.UINT8, [int(size) for size in sizes[:-1].split(",")])]
    x = random_input(2, 6, 3, 4)
    np.testing.assert_array_equal(run(result.model, x)[0].ravel(), x.argmax(axis=1).ravel())


@pytest.mark.parametrize(
    ("size", "nodes", "why"),
    [
        ("c", "y = ArgMax<axis=1>(x)", "its number of classes is not known; run static-shape"),
        ("65537", "y = ArgMax<axis=1>(x)", "is a label map of 65537 classes, and uint16 holds 65536"),
        ("6", "y = Cast<to=7>(x)", "is int64, not float logits"),
        ("6", "a = ArgMax<axis=1>(x) y = Add(a, a)", "is int64, not float logits"),
        ("6", "a = ArgMax<axis=1>(x) b = Cast<to=10>(a) y = Cast<to=7>(b)", "is int64, not float logits"),
    ],
)
def test_other_integers_are_left_with_the_reason(size, nodes, why):
    model = parse(f"g (float[1,{size},3,4] x) => (int64[1,k,3,4] y) {{ {nodes} }}")
    result = PassManager("argmax-output", verify=False).run(model)
    assert result.steps[0].changes == []
    assert why in skips(result)["y"]


def test_more_classes_than_uint16_holds_are_an_error():
    model = parse("g (float[1,65537,2,2] x) => (float[1,65537,2,2] y) { y = Neg(x) }")
    with pytest.raises(PassError, match="output 'y' has 65537 classes, and a uint16 label map holds 65536"):
        PassManager("argmax-output").run(model)


@pytest.mark.parametrize(("classes", "kind"), [(256, "uint8"), (257, "uint16"), (65536, "uint16")])
def test_the_type_holds_the_last_class(rewrite, classes, kind):
    model = parse(f"g (float[1,{classes},1,2] x) => (float[1,{classes},1,2] y) {{ y = Identity(x) }}")
    x = np.stack([np.arange(classes), -np.arange(classes)], axis=-1).astype(np.float32).reshape(1, classes, 1, 2)
    result = rewrite(model, "argmax-output")
    assert result.steps[0].changes[0].what == f"{classes} logits -> {kind} label map N, H, W"
    labels = run(result.model, x)[0]
    assert labels.dtype == kind
    assert labels.tolist() == [[[classes - 1, 0]]]


def channels_last(shape: str = "1,3,8,8", result: str = "1,8,8,5", classes: int = 5) -> onnx.ModelProto:
    model = parse(f"""
        g (float[{shape}] x) => (float[{result}] y)
        {{ c = Conv<kernel_shape=[1,1]>(x, w) [to_last] y = Transpose<perm=[0,2,3,1]>(c) }}
    """)
    return add_initializers(model, w=random_input(classes, 3, 1, 1))


@pytest.mark.parametrize(
    ("shape", "result", "classes"),
    [
        ("1,3,8,8", "1,8,8,5", 5),
        ("1,3,8,16", "1,8,16,19", 19),
        ("1,3,h,w", "1,h,w,5", 5),
        ("1,3,8,8", "1,8,8,8", 8),
        ("1,3,8,8", "1,8,8,1", 1),
    ],
    ids=["square", "wide", "open", "as many classes as rows", "one channel"],
)
def test_logits_that_may_have_their_classes_last_are_refused(shape, result, classes):
    words = rf"output 'y' is {result.replace(',', ' x ')}, which may be N, H, W, C; say argmax-output{{layout=nhwc}}"
    for pipeline in ("argmax-output", "fast-argmax{labels=true}"):
        with pytest.raises(PassError, match=words):
            PassManager(pipeline).run(channels_last(shape, result, classes))


def test_logits_with_their_classes_last_are_taken_where_that_is_stated(rewrite):
    model = channels_last()
    result = rewrite(model, "argmax-output{layout=nhwc}")
    x = random_input(1, 3, 8, 8)
    np.testing.assert_array_equal(run(result.model, x)[0], run(model, x)[0].argmax(axis=3))
    assert operators(result.model) == ["Conv", "ArgMax", "Cast"]


def test_a_square_of_as_many_classes_is_taken_as_stated(rewrite):
    x = random_input(1, 3, 8, 8)
    for layout, axis in (("nchw", 1), ("nhwc", 3)):
        model = channels_last("1,3,8,8", "1,8,8,8", 8)
        result = rewrite(model, f"argmax-output{{layout={layout}}}")
        np.testing.assert_array_equal(run(result.model, x)[0], run(model, x)[0].argmax(axis=axis))


def test_logits_that_no_transpose_makes_have_their_classes_last_too(rewrite):
    model = parse("g (float[2,5,7,3] x) => (float[2,5,7,3] y) { y = Softmax<axis=3>(x) }")
    x = random_input(2, 5, 7, 3)
    np.testing.assert_array_equal(run(rewrite(model, "argmax-output{layout=nhwc}").model, x)[0], x.argmax(axis=3))


@pytest.mark.parametrize(("axis", "what"), [(1, "number of classes is not known"), (None, "shape is not known")])
def test_logits_of_unknown_shape_are_an_error(axis, what):
    model = parse("g (float[1,C,2,2] x) => (float[1,C,2,2] y) { y = vendor.Thing(x) }")
    if axis is None:
        model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(PassError, match=f"output 'y': its {what}"):
        PassManager("argmax-output").run(model)
