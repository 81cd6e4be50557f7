"""Models are ordered where the faster one does the same work with less, and nowhere else."""

import onnx
import pytest
from graphs import parse

from fastscnn_opt.ascend.lint.graph import open_graph
from fastscnn_opt.ascend.lint.order import order_of

TWO = "g (float[1,3,8,16] x) => (float[1,3,8,16] a, float[1,3,8,16] b) { a = Relu(x) b = Abs(x) }"
ONE = "g (float[1,3,8,16] x) => (float[1,3,8,16] a) { a = Relu(x) }"
HALF = "g (float[1,3,8,16] x) => (float16[1,3,8,16] a) { r = Relu(x) a = Cast<to=10>(r) }"
BYTES = "g (float[1,3,8,16] x) => (uint8[1,3,8,16] a) { r = Relu(x) a = Cast<to=2>(r) }"
POOL = "g (float[1,3,32,64] x) => (float[1,3,1,1] y) { y = AveragePool<kernel_shape=[32,64], strides=[32,64]>(x) }"
PRODUCTS = f"""
    g (float[1,3,32,64] x) => (float[1,3,1,1] y)
    <float[1,32] rows = {{{", ".join(["0.03125"] * 32)}}}, float[64,1] columns = {{{", ".join(["0.015625"] * 64)}}}>
    {{ s = MatMul(rows, x) y = MatMul(s, columns) }}
"""
SMALL_POOL = POOL.replace("32,64", "8,16")
OPEN = "g (float[N,3,8,16] x) => (float[N,3,8,16] a) { a = Relu(x) }"


def order(one, two, **white_lists):
    graphs = {name: open_graph(parse(text), **white_lists) for name, text in (("one", one), ("two", two))}
    (found,) = order_of(graphs)
    return found


@pytest.mark.parametrize(
    ("faster", "slower", "why"),
    [
        (ONE, TWO, "1 output fewer, 1 operator fewer"),
        (HALF, ONE, "1 output in float16 in place of float32"),
        (HALF, TWO, "1 output fewer, 1 output in float16 in place of float32, 1 operator fewer"),
        (PRODUCTS, POOL, "1 operator fewer off the AI Core"),
    ],
)
def test_the_one_that_does_the_same_with_less_is_the_faster_one(faster, slower, why):
    here, there = order(faster, slower), order(slower, faster)
    assert (here.faster, here.slower, here.why) == ("one", "two", why)
    assert (there.faster, there.slower, there.why) == ("two", "one", why)


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        (ONE, ONE.replace("Relu", "Abs"), "has operators that the other does not have (Relu)"),
        (ONE, BYTES, "has outputs that the other does not have"),
        (ONE, ONE.replace("8,16", "8,17"), "has other inputs"),
        (OPEN, OPEN.replace("Relu", "Abs"), "leaves dimensions of its inputs open"),
        (HALF.replace("Relu", "Abs"), ONE, "has operators that the other does not have (Abs)"),
        (POOL, PRODUCTS.replace("s = MatMul", "z = Abs(x) s = MatMul").replace("(rows, x)", "(rows, z)"), "(Abs)"),
        (PRODUCTS, SMALL_POOL, "has other inputs"),
    ],
)
def test_everything_else_is_unknown_with_the_reason(one, two, why):
    found = order(one, two)
    assert (found.faster, found.slower) == (None, None)
    assert found.why.startswith("unknown: ")
    assert why in found.why


def test_a_resize_of_another_mode_is_no_less_work():
    text = (
        'g (float[1,3,4,4] x) => (float[1,3,8,8] y) <float[4] s = {1, 1, 2, 2}> { y = Resize<mode="linear">(x, , s) }'
    )
    assert (
        "unknown: one has operators that the other does not have (Resize)"
        in order(text.replace("linear", "nearest"), text).why
    )


def test_the_same_model_twice_is_neither():
    assert order(ONE, ONE).why == "nothing differs that is known to take time"


def test_kernels_without_an_attribute_are_told_apart():
    text = "g (float[1,1,8,8] x) => (float[1,1,8,8] y) { y = Conv<pads=[%s]>(x, w) }"
    graphs = {}
    for name, side in (("small", 1), ("large", 3)):
        model = parse(text % ",".join([str(side // 2)] * 4))
        model.graph.initializer.append(
            onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1, 1, side, side], [1.0] * side * side)
        )
        graphs[name] = open_graph(model)
    (found,) = order_of(graphs)
    assert found.faster is None
