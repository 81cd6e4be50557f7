"""Open input sizes are chosen so that they fit each other and the weights."""

import numpy as np
import pytest
from graphs import parse

from fastscnn_opt.model.sampling.sizes import input_sizes


def test_without_anything_known_a_batch_is_one_and_a_side_is_an_image():
    assert input_sizes(parse("g (float[?,3,?,?] x) => (float[?,3,?,?] y) { y = Relu(x) }"))["x"] == (1, 3, 256, 256)


@pytest.mark.parametrize(
    ("node", "weight", "expected"),
    [
        ("y = Conv(x, w)", (8, 5, 1, 1), (1, 5, 256, 256)),
        ("y = Conv<group = 2>(x, w)", (8, 5, 1, 1), (1, 10, 256, 256)),
        ("y = ConvTranspose(x, w)", (7, 2, 2, 2), (1, 7, 256, 256)),
        ("t = Transpose<perm = [0, 3, 1, 2]>(x) y = Conv(t, w)", (8, 5, 1, 1), (1, 256, 256, 5)),
        ("a = Relu(x) y = Conv(a, w)", (8, 5, 1, 1), (1, 5, 256, 256)),
        ("v = Identity(w) y = Conv(x, v)", (8, 5, 1, 1), (1, 5, 256, 256)),
        ("y = Sub(x, w)", (1, 6, 1, 1), (1, 6, 256, 256)),
        ("y = PRelu(x, w)", (6, 1, 1), (1, 6, 256, 256)),
        ("y = MatMul(x, w)", (12, 4), (1, 256, 256, 12)),
        ("y = MatMul(w, x)", (4, 12), (1, 256, 12, 256)),
    ],
)
def test_a_weight_gives_an_open_dimension_its_size(node, weight, expected):
    model = parse(f"g (float[n,c,h,w_] x) => (float[?,?,?,?] y) {{ {node} }}", w=np.zeros(weight, np.float32))
    assert input_sizes(model)["x"] == expected


def test_a_transposed_gemm_asks_for_the_columns_of_its_weight():
    model = parse("g (float[n,k] x) => (float[n,m] y) { y = Gemm<transB = 1>(x, w) }", w=np.zeros((9, 4), np.float32))
    assert input_sizes(model)["x"] == (1, 4)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("float[K,4] a, float[1,K] b", [(2, 4), (1, 2)]),
        ("float[N,3] a, float[N,5] b", [(1, 3), (1, 5)]),
        ("float[1,T,3] a, int64[1,T] b", [(1, 256, 3), (1, 256)]),
    ],
)
def test_dimensions_of_one_name_have_one_size(inputs, expected):
    sizes = input_sizes(parse(f"g ({inputs}) => (float[?] y) {{ y = Shape(a) z = Shape(b) }}"))
    assert [sizes["a"], sizes["b"]] == expected


def test_a_weight_that_one_input_meets_counts_for_the_name():
    model = parse(
        "g (float[1,T,D] a, float[1,D] b) => (float[?] y) { y = MatMul(a, w) z = Relu(b) }", w=np.ones((7, 2))
    )
    assert input_sizes(model) == {"a": (1, 256, 7), "b": (1, 7)}
