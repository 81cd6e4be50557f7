"""Where Casts stand, and how constants become float16."""

from collections import Counter

import numpy as np
from graphs import element_types, floats, inputs_of, operators, parse, run
from onnx import TensorProto, numpy_helper

from fastscnn_opt.rewriting.manager import PassManager

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT


def test_readers_of_one_tensor_share_one_cast(rewrite):
    model = parse("g (float[4] x) => (float[4] y) { [a] a = Sin(x) [b] b = Cos(x) y = Add(a, b) }")
    result = rewrite(model, "fp16")
    assert Counter(operators(result.model)) == {"Cast": 2, "Sin": 1, "Cos": 1, "Add": 1}
    assert inputs_of(result.model, "a") == inputs_of(result.model, "b")


def test_a_float32_node_reads_the_output_instead_of_a_second_cast(rewrite):
    text = "g (float[4] x) => (float[4] y, float[4] z) { y = Sin(x) [e] z = Erf(y) }"
    result = rewrite(parse(text), "fp16{keep_ops=Erf}")
    assert operators(result.model) == ["Cast", "Sin", "Cast", "Erf"]
    assert inputs_of(result.model, "e") == ["y"]


def test_casts_between_the_two_types_go(rewrite):
    model = parse(
        "g (float16[4] x) => (float16[4] y)"
        "{ a = Cast<to=1>(x) b = Sin(a) c = Cast<to=10>(b) d = Cast<to=1>(c) e = Cos(d) y = Cast<to=10>(e) }"
    )
    result = rewrite(model, "fp16")
    assert operators(result.model) == ["Sin", "Cos"]
    x = floats(0.1, 0.2, 0.3, 3).astype(np.float16)
    np.testing.assert_allclose(run(result.model, x)[0], np.cos(np.sin(x)), rtol=2e-3)


def test_a_cast_that_is_there_serves_those_who_still_need_it(rewrite):
    model = parse("g (float16[4] x) => (float[4] y, float[4] z) { a = Cast<to=1>(x) [e] y = Erf(a) z = Sin(a) }")
    result = rewrite(model, "fp16{keep_ops=Erf}")
    assert Counter(operators(result.model)) == {"Cast": 2, "Erf": 1, "Sin": 1}


def test_a_second_run_with_other_ends_leaves_no_cast(tiny_model, rewrite):
    result = rewrite(rewrite(tiny_model, "fp16").model, "fp16{keep_io=none}")
    assert operators(result.model) == ["Conv", "Relu", "Resize", "Resize"]


def test_a_constant_is_converted_once_and_copied_for_float32_readers(rewrite):
    text = """g (float[2] x) => (float[2] y) <float[2] c = {1.5, 2.5}>
        { [a] a = Add(x, c) [b] b = Mul(a, c) [p] y = Pow(b, c) }"""
    model = rewrite(parse(text), "fp16{keep_ops=Pow}").model
    assert sorted(tensor.name for tensor in model.graph.initializer) == ["c", "c_float16"]
    assert inputs_of(model, "a")[1] == inputs_of(model, "b")[1] == "c_float16"
    assert inputs_of(model, "p")[1] == "c"


def test_constant_nodes_are_converted_too(rewrite):
    model = parse("g (float[2] x) => (float[2] y) { c = Constant<value_float=0.3>() y = Mul(x, c) }")
    result = rewrite(model, "fp16{keep_io=none}")
    assert operators(result.model) == ["Mul"]
    x = floats(1, 3).astype(np.float16)
    np.testing.assert_array_equal(run(result.model, x)[0], x * np.float16(0.3))


def test_a_fill_value_is_converted(rewrite):
    text = """g (float[2] x) => (float[2] y) <int64[1] two = {2}>
        { f = ConstantOfShape<value = float[1] {0.3}>(two) y = Mul(x, f) }"""
    result = rewrite(parse(text), "fp16{keep_io=none}")
    x = floats(1, 3).astype(np.float16)
    np.testing.assert_array_equal(run(result.model, x)[0], x * np.float16(0.3))


def test_limits_of_clip_beyond_float16_become_its_ends(rewrite):
    model = parse("g (float[2] x) => (float[2] y) <float l = {0.0}, float h = {3.4e38}> { y = Clip(x, l, h) }")
    result = rewrite(model, "fp16{keep_io=none}")
    limits = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.model.graph.initializer}
    assert (limits["l"], limits["h"]) == (0, 65504)
    assert run(result.model, floats(-1, 60000).astype(np.float16))[0].tolist() == [0, 60000]


def test_infinite_constants_stay_infinite(rewrite):
    model = parse("g (float[2] x) => (float[2] y) { y = Max(x, c) }", c=floats(-np.inf, 1))
    (constant,) = rewrite(model, "fp16").model.graph.initializer
    assert numpy_helper.to_array(constant).tolist() == [-np.inf, 1]


def test_scales_that_follow_from_the_image_are_cast_back():
    text = """g (float[1,1,4,4] x, float[4] s) => (float[1,1,8,8] y)
        { t = Abs(s) [r] y = Resize<mode="nearest">(x, , t) }"""
    result = PassManager("fp16", verify=False).run(parse(text))
    assert element_types(result.model)["t"] == HALF
    assert element_types(result.model)[inputs_of(result.model, "r")[2]] == SINGLE
