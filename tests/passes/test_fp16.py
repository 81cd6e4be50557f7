"""fp16: which nodes compute in float16, where Casts stand, and what stays in float32 for which reason."""

from collections import Counter

import numpy as np
import onnx
import pytest
from graphs import operators, parse, run
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from properties import examples

from fastscnn_opt.errors import PassError, PipelineError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT


def types(model: onnx.ModelProto) -> dict[str, int]:
    graph = model.graph
    values = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)
    }
    return values | {tensor.name: tensor.data_type for tensor in graph.initializer}


def skips(result) -> dict[str, str]:
    return {skip.node: skip.why for skip in result.steps[0].skips}


def reads(model: onnx.ModelProto, name: str) -> list[str]:
    return list(next(node.input for node in model.graph.node if node.name == name))


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)


# What is computed.


def test_a_node_computes_what_numpy_does_in_float16(rewrite):
    model = parse("g (float[4] x) => (float[4] y) <float[4] c = {0.1, 3.3, 1000.0, 7.7}> { y = Mul(x, c) }")
    x = values(1 / 3, 2 / 3, 5.5, 0.001).astype(np.float16)
    result = rewrite(model, "fp16{keep_io=none}")
    expected = x * values(0.1, 3.3, 1000.0, 7.7).astype(np.float16)
    np.testing.assert_array_equal(run(result.model, x)[0], expected)
    assert types(result.model)["c"] == HALF


def test_the_interface_keeps_its_types_by_default(segmenter, rewrite):
    result = rewrite(segmenter, "adaptive-avgpool,fp16")
    kinds = types(result.model)
    assert {kinds[name] for name in ("image", "output1", "output2")} == {SINGLE}
    assert operators(result.model).count("Cast") == 3
    assert result.steps[1].verified
    assert result.steps[1].contract is Contract.ROUNDING


@pytest.mark.parametrize(
    ("keep", "image", "output"),
    [("both", SINGLE, SINGLE), ("inputs", SINGLE, HALF), ("outputs", HALF, SINGLE), ("none", HALF, HALF)],
)
def test_keep_io_chooses_the_sides_that_keep_their_type(tiny_model, rewrite, keep, image, output):
    result = rewrite(tiny_model, f"fp16{{keep_io={keep}}}")
    kinds = types(result.model)
    assert (kinds["image"], kinds["output1"]) == (image, output)
    assert operators(result.model).count("Cast") == (image, output).count(SINGLE)


def test_inside_nothing_but_the_scales_of_resize_is_float32(tiny_model, rewrite):
    kinds = types(rewrite(tiny_model, "fp16{keep_io=none}").model)
    assert {name for name, kind in kinds.items() if kind == SINGLE} == {"half", "twice"}


def test_labels_come_from_float16_logits(rewrite):
    model = parse("g (float[1,4,2,2] x) => (int64[1,1,2,2] y) { z = Sin(x) y = ArgMax<axis=1>(z) }")
    result = rewrite(model, "fp16")
    assert operators(result.model) == ["Cast", "Sin", "ArgMax"]
    assert result.steps[0].verified


def test_an_integer_image_is_cast_to_float16_at_once(rewrite):
    model = parse("g (uint8[4] x) => (float[4] y) <float[1] c = {0.3}> { z = Cast<to=1>(x) y = Mul(z, c) }")
    result = rewrite(model, "fp16{keep_io=none}")
    assert operators(result.model) == ["Cast", "Mul"]
    x = np.array([0, 1, 100, 255], np.uint8)
    np.testing.assert_array_equal(run(result.model, x)[0], x.astype(np.float16) * np.float16(0.3))


@pytest.mark.parametrize(
    "nodes",
    [
        "m = Max(x, x) y = Sub(x, m)",
        "a = Abs(x) b = Relu(a) y = Sub(a, b)",
        "m = Max(x, x) d = Sub(x, m) y = Relu(d)",
        "s = Sin(x) a = Add(x, s) b = Max(a, a) y = Sub(a, b)",
    ],
)
def test_terms_that_cancel_leave_no_more_than_their_rounding(rewrite, nodes):
    """In float32 nothing is left; onnxruntime rounds one of the terms to float16 and not the other."""
    model = parse(f"g (float[4,4] x) => (float[4,4] y) {{ {nodes} }}")
    step = rewrite(model, "fp16{keep_io=inputs}").steps[0]
    assert step.verified
    assert step.max_abs_diff <= 4 * 2.0**-11  # the terms are below 4


# Casts.


def test_readers_of_one_tensor_share_one_cast(rewrite):
    model = parse("g (float[4] x) => (float[4] y) { [a] a = Sin(x) [b] b = Cos(x) y = Add(a, b) }")
    result = rewrite(model, "fp16")
    assert Counter(operators(result.model)) == {"Cast": 2, "Sin": 1, "Cos": 1, "Add": 1}
    assert reads(result.model, "a") == reads(result.model, "b")


def test_a_float32_node_reads_the_output_instead_of_a_second_cast(rewrite):
    text = "g (float[4] x) => (float[4] y, float[4] z) { y = Sin(x) [e] z = Erf(y) }"
    result = rewrite(parse(text), "fp16{keep_ops=Erf}")
    assert operators(result.model) == ["Cast", "Sin", "Cast", "Erf"]
    assert reads(result.model, "e") == ["y"]


def test_casts_between_the_two_types_go(rewrite):
    model = parse(
        "g (float16[4] x) => (float16[4] y)"
        "{ a = Cast<to=1>(x) b = Sin(a) c = Cast<to=10>(b) d = Cast<to=1>(c) e = Cos(d) y = Cast<to=10>(e) }"
    )
    result = rewrite(model, "fp16")
    assert operators(result.model) == ["Sin", "Cos"]
    x = values(0.1, 0.2, 0.3, 3).astype(np.float16)
    np.testing.assert_allclose(run(result.model, x)[0], np.cos(np.sin(x)), rtol=2e-3)


def test_a_cast_that_is_there_serves_those_who_still_need_it(rewrite):
    model = parse("g (float16[4] x) => (float[4] y, float[4] z) { a = Cast<to=1>(x) [e] y = Erf(a) z = Sin(a) }")
    result = rewrite(model, "fp16{keep_ops=Erf}")
    assert Counter(operators(result.model)) == {"Cast": 2, "Erf": 1, "Sin": 1}


def test_a_node_that_moves_values_stays_with_its_float32_neighbours(rewrite):
    text = """g (float[2,3] x) => (float[3,2] y)
        { [e] a = Erf(x) [t] b = Transpose<perm=[1,0]>(a) [f] y = Erf(b) }"""
    result = rewrite(parse(text), "fp16{keep_ops=Erf}")
    assert skips(result)["t"] == "it only moves values that other nodes need in float32"
    assert result.steps[0].changes == []


def test_a_second_run_with_other_ends_leaves_no_cast(tiny_model, rewrite):
    result = rewrite(rewrite(tiny_model, "fp16").model, "fp16{keep_io=none}")
    assert operators(result.model) == ["Conv", "Relu", "Resize", "Resize"]


def test_the_nodes_are_in_order_without_sorting():
    import onnx_graphsurgeon as gs
    from fastscnn_opt.passes.fp16 import Fp16

    from fastscnn_opt.model.shapes import infer_shapes

    text = "g (float[4] x) => (float[4] y, float[4] z) { a = Sin(x) b = Erf(a) z = Add(a, b) y = Cos(b) }"
    graph = gs.import_onnx(infer_shapes(parse(text)))
    assert list(Fp16(keep_ops=("Erf",)).rewrite(graph))
    onnx.checker.check_model(gs.export_onnx(graph), full_check=True)


# Constants.


def test_a_constant_is_converted_once_and_copied_for_float32_readers(rewrite):
    text = """g (float[2] x) => (float[2] y) <float[2] c = {1.5, 2.5}>
        { [a] a = Add(x, c) [b] b = Mul(a, c) [p] y = Pow(b, c) }"""
    model = rewrite(parse(text), "fp16{keep_ops=Pow}").model
    assert sorted(tensor.name for tensor in model.graph.initializer) == ["c", "c_float16"]
    assert reads(model, "a")[1] == reads(model, "b")[1] == "c_float16"
    assert reads(model, "p")[1] == "c"


def test_constant_nodes_are_converted_too(rewrite):
    model = parse("g (float[2] x) => (float[2] y) { c = Constant<value_float=0.3>() y = Mul(x, c) }")
    result = rewrite(model, "fp16{keep_io=none}")
    assert operators(result.model) == ["Mul"]
    x = values(1, 3).astype(np.float16)
    np.testing.assert_array_equal(run(result.model, x)[0], x * np.float16(0.3))


def test_a_fill_value_is_converted(rewrite):
    text = """g (float[2] x) => (float[2] y) <int64[1] two = {2}>
        { f = ConstantOfShape<value = float[1] {0.3}>(two) y = Mul(x, f) }"""
    result = rewrite(parse(text), "fp16{keep_io=none}")
    x = values(1, 3).astype(np.float16)
    np.testing.assert_array_equal(run(result.model, x)[0], x * np.float16(0.3))


@pytest.mark.parametrize("big", [1e5, -65520.0])
def test_a_constant_beyond_float16_keeps_its_node_in_float32(rewrite, big):
    model = parse(f"g (float[1] x) => (float[1] y) <float[1] c = {{{big}}}> {{ [m] m = Mod<fmod=1>(x, c) y = Sin(m) }}")
    result = rewrite(model, "fp16")
    assert skips(result) == {"m": f"its constant 'c' reaches {abs(big):.6g}, and float16 ends at 65504"}
    assert operators(result.model) == ["Mod", "Cast", "Sin", "Cast"]


def test_a_constant_that_float16_would_make_zero_keeps_its_node_in_float32(rewrite):
    model = parse("g (float[2] x) => (float[2] y) <float c = {1e-12}> { a = Abs(x) [add] b = Add(a, c) y = Sin(b) }")
    assert skips(rewrite(model, "fp16"))["add"].startswith("its constant 'c' stays below 1e-12")


def test_limits_of_clip_beyond_float16_become_its_ends(rewrite):
    model = parse("g (float[2] x) => (float[2] y) <float l = {0.0}, float h = {3.4e38}> { y = Clip(x, l, h) }")
    result = rewrite(model, "fp16{keep_io=none}")
    limits = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.model.graph.initializer}
    assert (limits["l"], limits["h"]) == (0, 65504)
    assert run(result.model, values(-1, 60000).astype(np.float16))[0].tolist() == [0, 60000]


def test_infinite_constants_stay_infinite(rewrite):
    model = parse("g (float[2] x) => (float[2] y) { y = Max(x, c) }", c=values(-np.inf, 1))
    (constant,) = rewrite(model, "fp16").model.graph.initializer
    assert numpy_helper.to_array(constant).tolist() == [-np.inf, 1]


# Ranges found on sample inputs.

SQUARES = """g (float[1,3,32,32] x) => (float[1,3,32,32] y) <float[1] c = {200.0}>
    { [scale] a = Mul(x, c) [square] b = Mul(a, a) [root] d = Sqrt(b) [sine] y = Sin(d) }"""


def test_nodes_around_a_tensor_that_overflows_stay_in_float32(rewrite):
    result = rewrite(parse(SQUARES), "fp16")
    found = skips(result)
    assert list(found) == ["square", "root"]
    assert found["square"].startswith("its result 'b' on sample inputs reaches ")
    assert found["root"].startswith("its input 'b' on sample inputs reaches ")


def test_without_samples_nothing_is_looked_for():
    result = PassManager("fp16{samples=0}", verify=False).run(parse(SQUARES))
    assert result.steps[0].skips == []


def test_an_output_that_overflows_keeps_its_type(rewrite):
    model = parse("g (float[1,3,32,32] x) => (float[1,3,32,32] y) <float[1] c = {30000.0}> { [m] y = Mul(x, c) }")
    result = rewrite(model, "fp16{keep_io=none}")
    assert types(result.model)["y"] == SINGLE
    assert skips(result)["y"].startswith("on sample inputs it reaches ")


def test_a_graph_that_does_not_run_is_an_error_with_the_way_on():
    model = parse("g (float[4] x) => (float[4] y) { a = vendor.Secret(x) y = Sin(a) }")
    with pytest.raises(PassError, match=r"overflow cannot be looked for .* \(samples=0 converts"):
        PassManager("fp16", verify=False).run(model)


# What stays in float32.


def test_operators_and_names_can_be_kept(rewrite):
    text = "g (float[4] x) => (float[4] y) { [one] a = Sin(x) [two] b = Cos(a) [three] y = Softmax(b) }"
    result = rewrite(parse(text), "fp16{keep_ops=Softmax keep=tw*}")
    assert skips(result) == {"two": "keep=tw* names it", "three": "keep_ops holds Softmax"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("keep_ops=Sofmax", "unknown operator 'Sofmax'; did you mean 'Softmax'"),
        ("keep=cnv", "keep: 'cnv' matches no node; did you mean 'conv'"),
    ],
)
def test_a_wrong_name_is_an_error_with_the_nearest(tiny_model, options, words):
    with pytest.raises(PassError, match=words):
        PassManager(f"fp16{{{options}}}").run(tiny_model)


def test_an_operator_that_the_graph_lacks_may_be_named(tiny_model, rewrite):
    assert skips(rewrite(tiny_model, "fp16{keep_ops=Softmax}")) == {}


@pytest.mark.parametrize(
    ("options", "words"), [("samples=-1", "0 or more"), ("keep_io=input", "did you mean 'inputs'")]
)
def test_a_wrong_value_is_an_error(options, words):
    with pytest.raises(PipelineError, match=words):
        PassManager(f"fp16{{{options}}}")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("[n] y = CumSum(x, axis)", "ONNX defines CumSum without float16 at opset 13"),
        ("[n] y = vendor.Secret(x)", "ONNX does not define Secret at opset 13, so its types are not known"),
        ("[n] y = RandomNormalLike(x)", "an attribute chooses the type of its result"),
    ],
)
def test_operators_without_float16_stay_in_float32(body, why):
    model = parse(f"g (float[4] x) => (float[4] y) <int64 axis = {{0}}> {{ {body} }}")
    result = PassManager("fp16{samples=0}", verify=False).run(model)
    assert skips(result) == {"n": why}
    assert result.steps[0].changes == []


def test_an_operator_gets_float16_with_the_opset_that_defines_it(rewrite):
    text = "g (float[4] x) => (float[4] y) <int64 axis = {0}> { [n] y = CumSum(x, axis) }"
    assert operators(rewrite(parse(text, opset=14), "fp16").model) == ["Cast", "CumSum", "Cast"]


def test_a_tensor_of_unknown_type_keeps_its_readers_in_float32():
    model = parse("g (float[4] x) => (float[4] y) { [v] a = vendor.Secret(x) [n] y = Sin(a) }")
    result = PassManager("fp16{samples=0}", verify=False).run(model)
    assert skips(result)["n"] == "the type of 'a' is not known"


def test_shape_arithmetic_stays_exact(rewrite):
    text = """g (float[1,1,N,1] x) => (float[1,1,M,1] y)
        <float[2] front = {1, 1}, float[1] one = {1}, float scale = {1.0009}, int64 axis = {2}>
        {
            s = Shape(x) n = Gather(s, axis) [cast] f = Cast<to=1>(n) [mul] m = Mul(f, scale) d = Div(m, f)
            shape1 = Constant<value_ints=[1]>() d1 = Reshape(d, shape1) scales = Concat<axis=0>(front, d1, one)
            [r] y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric">(x, , scales)
        }"""
    model = parse(text)
    result = rewrite(model, "fp16{keep_io=none}")
    assert (
        skips(result)["mul"] == "it computes from shapes and constants alone, and float16 counts no further than 2048"
    )
    assert "Cast" not in [node.op_type for node in result.model.graph.node if node.name != "cast"]
    x = np.random.default_rng(0).standard_normal((1, 1, 4000, 1)).astype(np.float16)
    assert run(result.model, x)[0].shape == run(model, x.astype(np.float32))[0].shape == (1, 1, 4003, 1)


def test_scales_that_follow_from_the_image_are_cast_back():
    text = """g (float[1,1,4,4] x, float[4] s) => (float[1,1,8,8] y)
        { t = Abs(s) [r] y = Resize<mode="nearest">(x, , t) }"""
    result = PassManager("fp16", verify=False).run(parse(text))
    assert types(result.model)["t"] == HALF
    assert types(result.model)[reads(result.model, "r")[2]] == SINGLE


def test_a_subgraph_keeps_its_types_and_reads_float32(rewrite):
    text = """g (float[2] x, bool c) => (float[2] y) {
        a = Sin(x)
        [choose] b = If (c) <then_branch = t () => (float[2] p) { p = Cos(a) },
                             else_branch = e () => (float[2] q) { q = Identity(a) }>
        y = Sin(b)
    }"""
    model = parse(text)
    result = rewrite(model, "fp16")
    assert skips(result) == {"choose": "its subgraphs keep their types"}
    x = values(0.5, 2)
    half = np.sin(x.astype(np.float16)).astype(np.float32)
    for condition, inner in ((True, np.cos(half)), (False, half)):
        expected = np.sin(inner.astype(np.float16))
        np.testing.assert_allclose(run(result.model, x, np.array(condition))[0], expected, rtol=2e-3)


QUANTISED = """g (float[1,1,8,8] x) => (float[1,1,8,8] y)
    <float s = {0.05}, uint8 z = {128}, float ws = {0.01}, int8 wz = {0}, int8[1,1,1,1] w = {100}>
    {
        [q] a = QuantizeLinear(x, s, z) [d] b = DequantizeLinear(a, s, z) [wd] v = DequantizeLinear(w, ws, wz)
        [conv] c = Conv(b, v) [relu] r = Relu(c)
        [q2] e = QuantizeLinear(r, s, z) [d2] f = DequantizeLinear(e, s, z) [tail] y = Sin(f)
    }"""


@pytest.mark.parametrize("opset", [13, 19])
def test_what_is_quantised_is_left_alone(rewrite, opset):
    result = rewrite(parse(QUANTISED, opset), "fp16")
    assert sorted(skips(result)) == ["conv", "d", "d2", "q", "q2", "relu", "wd"]
    assert result.steps[0].changes[0].node == "f_to_float16"
    assert operators(result.model)[-3:] == ["Cast", "Sin", "Cast"]


def test_batch_normalisation_and_pooling_are_converted(segmenter, rewrite):
    result = rewrite(segmenter, "adaptive-avgpool,fp16")
    assert skips(result) == {}
    assert types(result.model)["variance"] == HALF


def test_float64_and_bfloat16_are_left_alone():
    text = "g (double[2] x, bfloat16[2] b) => (double[2] y, bfloat16[2] z) { y = Sin(x) z = Identity(b) }"
    result = PassManager("fp16{samples=0}", verify=False).run(parse(text))
    assert (result.steps[0].changes, result.steps[0].skips) == ([], [])


# Any graph.

UNARY = ["Sin", "Cos", "Relu", "Sigmoid", "Identity", "Transpose", "Abs"]


@st.composite
def graphs(draw):
    """A graph of unary and binary operators in which every tensor may be read many times, or be an output."""
    nodes, tensors = [], ["x0", "x1"]
    for index in range(draw(st.integers(1, 8))):
        name = f"t{index}"
        if draw(st.booleans()):
            nodes.append(helper.make_node(draw(st.sampled_from(UNARY)), [draw(st.sampled_from(tensors))], [name]))
        else:
            operands = [draw(st.sampled_from([*tensors, "c"])), draw(st.sampled_from(tensors))]
            nodes.append(helper.make_node(draw(st.sampled_from(["Add", "Sub", "Max"])), operands, [name]))
        nodes[-1].name = f"n{index}"
        tensors.append(name)
    outputs = draw(st.sets(st.sampled_from(tensors[2:]), min_size=1)) | {tensors[-1]}
    return helper.make_model(
        helper.make_graph(
            nodes, "g",
            [helper.make_tensor_value_info(name, SINGLE, [4, 4]) for name in tensors[:2]],
            [helper.make_tensor_value_info(name, SINGLE, [4, 4]) for name in sorted(outputs)],
            [numpy_helper.from_array(np.linspace(-2, 2, 16, dtype=np.float32).reshape(4, 4), "c")],
        ),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
    )  # fmt: skip


@examples(25)
@given(graphs(), st.sampled_from(["inputs", "outputs", "both", "none"]), st.sets(st.sampled_from(UNARY), max_size=3))
def test_any_graph_keeps_the_contract_with_few_casts(model, keep, kept):
    text = f"fp16{{keep_io={keep}" + (f" keep_ops={'|'.join(sorted(kept))}" if kept else "") + "}"
    result = PassManager(text).run(model)
    casts = [node for node in result.model.graph.node if node.op_type == "Cast"]
    sources = [node.input[0] for node in casts]
    assert len(set(sources)) == len(sources)
    assert not {node.output[0] for node in casts} & set(sources)
    assert PassManager(text).run(result.model).steps[0].changes == []
