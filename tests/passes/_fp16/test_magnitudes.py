"""What is too large or too small for float16: constants, and tensors on sample inputs."""

import pytest
from graphs import element_types, operators, parse, skips
from onnx import TensorProto

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.manager import PassManager

SINGLE = TensorProto.FLOAT


@pytest.mark.parametrize("big", [1e5, -65520.0])
def test_a_constant_beyond_float16_keeps_its_node_in_float32(rewrite, big):
    model = parse(f"g (float[1] x) => (float[1] y) <float[1] c = {{{big}}}> {{ [m] m = Mod<fmod=1>(x, c) y = Sin(m) }}")
    result = rewrite(model, "fp16")
    assert skips(result) == {"m": f"its constant 'c' reaches {abs(big):.6g}, and float16 ends at 65504"}
    assert operators(result.model) == ["Mod", "Cast", "Sin", "Cast"]


def test_a_constant_that_float16_would_make_zero_keeps_its_node_in_float32(rewrite):
    model = parse("g (float[2] x) => (float[2] y) <float c = {1e-12}> { a = Abs(x) [add] b = Add(a, c) y = Sin(b) }")
    assert skips(rewrite(model, "fp16"))["add"].startswith("its constant 'c' stays below 1e-12")


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
    assert element_types(result.model)["y"] == SINGLE
    assert skips(result)["y"].startswith("on sample inputs it reaches ")


def test_a_graph_that_does_not_run_is_an_error_with_the_way_on():
    model = parse("g (float[4] x) => (float[4] y) { a = vendor.Secret(x) y = Sin(a) }")
    with pytest.raises(PassError, match=r"overflow cannot be looked for .*; use fp16\{samples=0\}, which converts"):
        PassManager("fp16", verify=False).run(model)
