"""Which nodes stay in float32, and for which reason."""

import numpy as np
import pytest
from graphs import floats, operators, parse, run, skips

from fastscnn_opt.rewriting.manager import PassManager


def test_a_node_that_moves_values_stays_with_its_float32_neighbours(rewrite):
    text = """g (float[2,3] x) => (float[3,2] y)
        { [e] a = Erf(x) [t] b = Transpose<perm=[1,0]>(a) [f] y = Erf(b) }"""
    result = rewrite(parse(text), "fp16{keep_ops=Erf}")
    assert skips(result)["t"] == "it only moves values that other nodes need in float32"
    assert result.steps[0].changes == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("[n] y = CumSum(x, axis)", "ONNX defines x of CumSum without float16 at opset 13"),
        ("[n] y = vendor.Secret(x)", "ONNX does not define Secret at opset 13, so its types are not known"),
        ("[n] y = RandomNormalLike(x)", "an attribute chooses the type of its result"),
    ],
)
def test_operators_without_float16_stay_in_float32(body, why):
    model = parse(f"g (float[4] x) => (float[4] y) <int64 axis = {{0}}> {{ {body} }}")
    result = PassManager("fp16{samples=0}", verify=False).run(model)
    assert skips(result) == {"n": why}
    assert result.steps[0].changes == []


def test_an_output_without_float16_is_named_as_what_keeps_its_node(rewrite):
    text = "g (float[1,4] x, float[4] s) => (float[1,4] y, float[1,1] m) { [n] y, m = LayerNormalization(x, s) }"
    why = "ONNX defines Mean of LayerNormalization without float16 at opset 17"
    assert skips(rewrite(parse(text, opset=17), "fp16")) == {"n": why}


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
    x = floats(0.5, 2)
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


def test_float64_and_bfloat16_are_left_alone():
    text = "g (double[2] x, bfloat16[2] b) => (double[2] y, bfloat16[2] z) { y = Sin(x) z = Identity(b) }"
    result = PassManager("fp16{samples=0}", verify=False).run(parse(text))
    assert (result.steps[0].changes, result.steps[0].skips) == ([], [])


@pytest.mark.parametrize(
    ("constant", "value"),
    [("CastLike(c, r)", 3), ("ConstantOfShape<value=float[1]{3}>(n)", 3), ("ConstantOfShape(n)", 0)],
)
def test_a_constant_for_a_branch_stays_in_float32(rewrite, constant, value):
    text = f"""g (float[4] x, bool q) => (float[4] y) <float[4] c = {{3,3,3,3}}, int64[1] n = {{4}}> {{
        r = Relu(x) [k] k = {constant} y = If(q)<then_branch = t () => (float[4] a) {{ a = Add(r, k) }},
        else_branch = e () => (float[4] b) {{ b = Sub(r, k) }}> }}"""
    result = rewrite(parse(text, opset=19), "fp16{samples=0}")
    assert skips(result)["k"] == "its result is a constant for a subgraph, and onnxruntime takes no Cast there"
    x = floats(1, -2, 0.5, 4)
    for flag, sign in ((True, 1), (False, -1)):
        np.testing.assert_allclose(run(result.model, x, np.array(flag))[0], np.maximum(x, 0) + sign * value)


def test_a_branch_whose_equal_twin_no_output_needs_is_converted(rewrite):
    body = "b = Neg(c) d = Sin(b)"
    text = f"""g (float[4] x, bool q) => (float[4] y) {{ c = Abs(x) s = Abs(c) z = If(q)<
        then_branch = t () => (float[4] d) {{ {body} }}, else_branch = e () => (float[4] d) {{ {body} }}>
        w = If(q)<then_branch = t () => (float[4] d) {{ {body} }}, else_branch = e () => (float[4] d) {{ {body} }}>
        y = Mul(z, s) }}"""
    result = rewrite(parse(text), "fp16").model
    x = floats(1, -2, 0.5, 4)
    for flag in (True, False):
        expected = np.sin(-abs(x)) * abs(x)
        np.testing.assert_allclose(run(result, x, np.array(flag))[0], expected, rtol=2e-3, atol=2e-3)
