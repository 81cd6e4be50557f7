"""Sizes and names of dimensions that shape inference cannot know stay open."""

import itertools

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.rewriting.manager import PassManager

HEADER = '<ir_version: 8, opset_import: ["" : {opset}]> g '


def parse(text, opset=13, **initializers):
    model = onnx.parser.parse_model(HEADER.format(opset=opset) + text)
    for name, values in initializers.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), name))
    return model


def session_of(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def shape_in(info):
    return [getattr(dim, dim.WhichOneof("value") or "", None) for dim in info.type.tensor_type.shape.dim]


def shapes_in(graph):
    return {info.name: shape_in(info) for info in (*graph.value_info, *graph.output)}


def assert_engine_agrees(model):
    """Hold the inferred sizes of the output against those that onnxruntime makes; return how many are left open."""
    feeds = {value.name: np.zeros(shape_in(value), np.float32) for value in model.graph.input}
    (made,) = session_of(model).run(None, feeds)
    inferred = shape_in(infer_shapes(model).graph.output[0])
    known = [isinstance(size, int) for size in inferred]
    assert all(one == other for one, other, told in zip(inferred, made.shape, known, strict=True) if told), made.shape
    return known.count(False)


FRACTIONS = [(25, 512), (31, 256), (41, 640), (48, 640), (42, 720), (10, 15), (16, 512), (30, 45)]


@pytest.mark.parametrize(
    ("opset", "node", "form"),
    [
        (9, 'Upsample<mode="nearest">(x, s)', "{0},1"),
        (10, 'Resize<mode="nearest">(x, s)', "1,{0}"),
        (13, 'Resize<mode="linear">(x, , s)', "{0},{0}"),
        (18, "Resize<axes=[-1]>(x, , s)", "{0}"),
    ],
)
def test_a_scaled_size_is_the_one_of_the_engine_or_open(opset, node, form):
    open_sizes = 0
    for before, after in FRACTIONS:
        scale = np.float32(after / before)
        scales = [scale if part == "{0}" else 1 for part in form.split(",")]
        scales = scales if "axes" in node else [1, 1, *scales]
        model = parse(
            f"(float[1,2,{before},{before}] x) => (float[a,b,c,d] y) {{ t = {node} y = Relu(t) }}",
            opset,
            s=np.array(scales, np.float32),
        )
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        open_sizes += assert_engine_agrees(model)
    assert 0 < open_sizes < 2 * len(FRACTIONS)


def test_sizes_given_as_integers_are_known():
    model = parse("(float[1,2,25,25] x) => (float[a,b,c,d] y) { t = Resize(x, , , s) y = Relu(t) }", s=[1, 2, 512, 511])
    assert shapes_in(infer_shapes(model).graph)["t"] == [1, 2, 512, 511]


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_a_size_that_keeps_the_aspect_ratio_is_the_one_of_the_engine_or_open(policy):
    for before, (height, width) in itertools.product((91, 24, 33), ((128, 19), (480, 21), (77, 33))):
        text = f'(float[1,1,{before},14] x) => (float[a,b,c,d] y) {{ y = Resize<keep_aspect_ratio_policy="{policy}",'
        assert_engine_agrees(parse(text + "axes=[2,3]>(x, , , s) }", 19, s=[height, width]))


@pytest.mark.parametrize("opset", [11, 22])
@pytest.mark.parametrize("pool", ["MaxPool", "AveragePool", "LpPool"])
def test_a_pooled_size_is_the_one_of_the_engine_or_open(pool, opset):
    if pool == "LpPool" and opset < 18:
        pytest.skip("LpPool has no ceil_mode there")
    for size, kernel, stride, padding in itertools.product((5, 12, 22), (1, 2, 3), (1, 3, 4), (0, 1)):
        if padding < kernel:
            options = f"ceil_mode=1, kernel_shape=[{kernel}], strides=[{stride}], pads=[{padding},{padding}]"
            assert_engine_agrees(
                parse(f"(float[1,1,{size}] x) => (float[a,b,c] y) {{ y = {pool}<{options}>(x) }}", opset)
            )


@pytest.mark.parametrize("padding", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_a_dilated_pooling_with_automatic_padding_has_the_size_of_the_engine_or_none(padding):
    for size, kernel, stride in itertools.product((17, 33, 38), (2, 3, 4), (1, 3, 4)):
        options = f'auto_pad="{padding}", kernel_shape=[{kernel}], strides=[{stride}], dilations=[2]'
        assert_engine_agrees(parse(f"(float[1,1,{size}] x) => (float[a,b,c] y) {{ y = MaxPool<{options}>(x) }}"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_length_of_a_float_range_is_the_one_of_the_engine_or_open(dtype):
    kind, found = {np.float32: "float", np.float64: "double"}[dtype], []
    for start, step, steps in itertools.product((0.0, 0.3, 0.7), (0.1, 0.3, 0.5), (5, 18, 29)):
        ends = {"s": dtype(start), "l": dtype(start) + dtype(step) * dtype(steps), "d": dtype(step)}
        model = parse(f"(float[1] x) => ({kind}[n] y) {{ y = Range(s, l, d) }}", **ends)
        model.graph.output[0].type.tensor_type.ClearField("shape")
        found.append(assert_engine_agrees(model))
    assert 0 in found


def test_what_follows_an_open_size_is_open_too_and_the_rest_is_known():
    text = """(float[1,3,25,16] x) => (float[1,3,H,W] y) {
        a = Resize<mode = "linear">(x, , s) b = Conv(a, w) y = Resize<mode = "linear">(b, , s) }"""
    scale = np.float32(512 / 25)
    model = parse(text, s=np.array([1, 1, scale, 2], np.float32), w=np.zeros((4, 3, 1, 1), np.float32))
    shapes = shapes_in(infer_shapes(model).graph)
    assert shapes["a"] == [1, 3, None, 32]
    assert shapes["b"] == [1, 4, None, 32]


def test_an_open_size_in_a_branch_is_open_there_and_behind_the_branch():
    text = """(bool c, float[1,1,25,25] x) => (float[1,1,H,W] y) {
        t = If(c) <then_branch = a () => (float[p,q,r,s] u) { v = Resize<mode = "linear">(x, , s) u = Relu(v) },
                   else_branch = b () => (float[p,q,r,s] z) { o = Relu(x) z = Resize<mode = "linear">(o, , s) }>
        y = Relu(t) }"""
    model = parse(text, s=np.array([1, 1, 512 / 25, 512 / 25], np.float32))
    graph = infer_shapes(model).graph
    assert not {511, 512} & {*shapes_in(graph)["t"], *shapes_in(graph)["y"]}
    for attribute in graph.node[0].attribute:
        made = {name: shape for name, shape in shapes_in(attribute.g).items() if name in "uvz"}
        assert all(not isinstance(size, int) or size == 1 for shape in made.values() for size in shape), made


@pytest.mark.parametrize(
    "text",
    [
        "(float[2,4] x) => (float[?,4] y) { i = NonZero(x) j = Transpose(i) k = Identity(j) y = Cast<to = 1>(k) }",
        "(float[4] x, float[4] z) => (float[?] y) { a = Unique(x) b = Unique(z) i = Identity(a) y = Max(i, b) }",
        "(float[4] x, bool[4] m) => (float[?] y) { a = Compress(x, m) i = Identity(a) y = Relu(i) }",
    ],
)
def test_no_dimension_gets_a_name_that_the_file_does_not_have(text):
    model = parse(text.replace("?", "rows"))
    model.graph.output[0].type.tensor_type.shape.dim[0].Clear()
    result = PassManager("remove-noops", verify=False).run(model).model
    assert len(result.graph.node) == len(model.graph.node) - 1
    sizes = [size for shape in shapes_in(result.graph).values() for size in shape]
    assert not [size for size in sizes if isinstance(size, str)]


def test_the_names_of_the_file_stay_even_if_inference_has_written_them():
    model = parse("(float[unk__0,4] x) => (float[unk__0,4] y) { a = Identity(x) y = Relu(a) b = NonZero(x) }")
    shapes = shapes_in(infer_shapes(model).graph)
    assert shapes["a"] == ["unk__0", 4]
    assert shapes["b"] == [2, None]


def test_two_parts_of_a_sequence_with_different_sizes_run_after_a_pass():
    text = """(float[7,2] x) => (float[n,2] y) {
        parts = SplitToSequence<axis = 0>(x, length) a = SequenceAt(parts, first) b = SequenceAt(parts, second)
        c = Exp(a) d = Exp(b) e = Concat<axis = 0>(d, c) y = Identity(e) }"""
    model = parse(text, length=4, first=0, second=1)
    feeds = {"x": np.arange(14, dtype=np.float32).reshape(7, 2) / 14}
    result = PassManager("remove-noops", verify=False).run(model).model
    expected = np.exp(np.concatenate([feeds["x"][4:], feeds["x"][:4]]))
    np.testing.assert_allclose(session_of(result).run(None, feeds)[0], expected, rtol=1e-6)


def test_a_negative_size_inferred_in_a_branch_is_not_written():
    text = """(bool c, float[1,1,2] x) => (float[1,1,n] y) {
        t = If(c) <then_branch = a () => (float[p,q,r] u) { v = Conv(x, w) u = Relu(v) },
                   else_branch = b () => (float[p,q,r] z) { z = Relu(x) }>
        i = Identity(t) y = Relu(i) }"""
    result = PassManager("remove-noops", verify=False).run(parse(text, w=np.zeros((1, 1, 5), np.float32))).model
    for attribute in result.graph.node[0].attribute:
        sizes = [size for shape in shapes_in(attribute.g).values() for size in shape]
        assert not [size for size in sizes if isinstance(size, int) and size < 0]


@pytest.mark.parametrize("inner", ["up", "twice"])
def test_a_size_that_a_function_makes_by_a_scale_is_open(inner):
    text = f"""<ir_version: 8, opset_import: ["" : 18, "f" : 1]>
        g (float[1,1,25,25] x) => (float[1,1,H,W] y) {{ t = f.{inner}(x) y = Relu(t) }}
        <domain: "f", opset_import: ["" : 18]> up (a) => (b) {{
            s = Constant<value_floats = [1.0, 1.0, 20.48, 20.48]>() b = Resize<mode = "linear">(a, , s) }}
        <domain: "f", opset_import: ["" : 18, "f" : 1]> twice (a) => (b) {{ c = Relu(a) b = f.up(c) }}"""
    shapes = shapes_in(infer_shapes(onnx.parser.parse_model(text)).graph)
    assert not [size for size in (*shapes.get("t", ()), *shapes["y"]) if size not in (None, 1, "H", "W")]
