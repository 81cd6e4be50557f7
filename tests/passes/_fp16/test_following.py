"""Nodes without a type of their own follow their neighbours, and a second run decides as the first one did."""

import pytest
from graphs import operators, parse, skips

from fastscnn_opt.rewriting.manager import PassManager


def test_a_node_between_float32_nodes_of_one_side_and_half_of_the_other(rewrite):
    text = "g (float[4] x) => (float[4] y, float[4] z) { [same] y = Identity(x) z = Relu(y) }"
    result = rewrite(parse(text), "fp16{keep_io=inputs keep_ops=Relu}")
    assert skips(result)["same"] == "it only moves values that other nodes need in float32"


def test_a_result_that_is_joined_to_float16_is_not_needed_in_float32(rewrite):
    text = """
        g (float[4,2] x) => (float[2,4] y) {
            t = Transpose<perm = [1,0]>(x) left, right = Split<axis = 1>(t) s = Sin(left) y = Concat<axis = 1>(s, right)
        }
    """
    result = rewrite(parse(text, opset=11), "fp16")
    assert operators(result.model) == ["Cast", "Transpose", "Split", "Sin", "Concat", "Cast"]


@pytest.mark.parametrize("reader", ["ArgMax<axis = 0, keepdims = 0>(x)", "Shape(x)", "Cast<to = 7>(x)"])
def test_what_makes_no_float_reads_what_is_there(rewrite, reader):
    text = f"g (float[4] x) => (int64[N] i, float[4] y) {{ [first] i = {reader} y = Relu(x) }}"
    result = rewrite(parse(text), "fp16")
    assert "first" not in {change.node for change in result.steps[0].changes}
    late = f"g (float[4] x) => (int64[N] i, float[4] y) {{ y = Relu(x) [last] i = {reader} }}"
    result = rewrite(parse(late), "fp16")
    assert list(next(node.input for node in result.model.graph.node if node.name == "last")) == ["x"]


@pytest.mark.parametrize(
    ("body", "kinds", "why"),
    [
        ("a = Relu(x) [n] y = BitCast<to = 6>(a)", ("float[2]", "int32[2]"), "it takes the bits of a value"),
        ("a = Neg(x) [n] y = BitCast<to = 1>(a)", ("int32[2]", "float[2]"), "it takes the bits of a value"),
        ("a = Relu(x) [n] y = Cast<to = 8>(a)", ("float[2]", "string[2]"), "it writes the digits of a number"),
        ("a = Relu(x) [n] y = CastLike(a, t)", ("float[2]", "string[2]"), "it writes the digits of a number"),
        ("a = Relu(x) [n] y = Unique(a)", ("float[2]", "float[N]"), "values that rounding makes equal would be one"),
        ("a = Relu(x) [n] y = EyeLike(a)", ("float[2,2]", "float[2,2]"), "an attribute chooses the type"),
        (
            "a = Relu(x) [n] y = MeanVarianceNormalization(a)",
            ("float[1,2,2,2]", "float[1,2,2,2]"),
            "ONNX defines it by nodes that mix float16 with constants of float32",
        ),
        ("a = Relu(x) [n] y = AffineGrid(a, s)", ("float[1,2,3]", "float[1,2,2,2]"), "too coarse for its coordinates"),
    ],
)
def test_what_means_something_else_in_float16_stays(body, kinds, why):
    kinds = f"({kinds[0]} x, string[1] t) => ({kinds[1]} y)"
    model = parse(f"g {kinds} <int64[4] s = {{1, 1, 2, 2}}> {{ {body} }}", opset=26)
    model.ir_version = 12
    result = PassManager("fp16{samples=0 keep_io=none}", verify=False).run(model)
    assert skips(result)["n"].startswith(why) or why in skips(result)["n"]


@pytest.mark.parametrize("reduction", ["add", "mul", "max"])
def test_scattering_with_a_reduction_stays_float32(rewrite, reduction):
    body = f'a = Relu(x) [n] b = ScatterND<reduction = "{reduction}">(a, i, a) y = Neg(b)'
    text = f"g (float[2] x) => (float[2] y) <int64[2,1] i = {{1, 0}}> {{ {body} }}"
    assert "while they scatter" in skips(rewrite(parse(text, opset=18), "fp16"))["n"]


def test_the_places_of_samples_stay_float32(rewrite):
    text = "g (float[1,1,4,4] x, float[1,2,2,2] places) => (float[1,1,2,2] y) { [n] y = GridSample(x, places) }"
    result = rewrite(parse(text, opset=20), "fp16")
    assert list(next(node.input for node in result.model.graph.node if node.op_type == "GridSample")) == [
        "x_float16",
        "places",
    ]
