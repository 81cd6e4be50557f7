"""The spelled-out adaptive pooling equals PyTorch's, window by window."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import parse
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling, windows


def pooling_model(height, width, size, opset=13, domain="custom"):
    return onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : {opset}, "custom" : 1]>
        g (float[2,3,{height},{width}] x) => (float[2,3,{size[0]},{size[1]}] y)
        {{ [pool] y = {domain + "." if domain else ""}AdaptiveAvgPool2d<output_size=[{size[0]},{size[1]}]>(x) }}
    """)


def run(model, x):
    session = ort.InferenceSession(
        expand_adaptive_pooling(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("opset", [9, 13, 18])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (6, 6), (5, 7)])
def test_it_equals_pytorch(size, opset):
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    x = np.random.default_rng(0).standard_normal((2, 3, 16, 23)).astype(np.float32)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x), size).numpy()
    np.testing.assert_allclose(run(pooling_model(16, 23, size, opset), x), expected, atol=1e-6)


@examples(50)
@given(st.integers(1, 200), st.integers(1, 200))
def test_windows_cover_every_element_in_order(length, bins):
    found = windows(length, bins)
    covered = {element for start, end in found for element in range(start, end)}
    assert covered == set(range(length))
    assert all(start < end for start, end in found)
    assert found == sorted(found)


def test_a_model_without_it_is_returned_as_it_is(tiny_model):
    assert expand_adaptive_pooling(tiny_model) is tiny_model


def test_an_unknown_input_size_is_refused_with_the_node():
    model = pooling_model(8, 8, (3, 3))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ModelError, match="pool: the height and width of its input are not known"):
        expand_adaptive_pooling(model)


@pytest.mark.parametrize(
    ("inputs", "size"),
    [
        ("", "<output_size=[3,3]>"),
        ("x", ""),
        ("x", "<output_size=[0,3]>"),
        ("x", "<output_size=[1,2,3]>"),
        ("x", '<output_size="a">'),
    ],
)
def test_a_node_that_only_has_the_name_stays(inputs, size):
    model = pooling_model(8, 8, (3, 3), domain="")
    text = onnx.printer.to_text(model).replace("(x)", f"({inputs})").replace("<output_size: ints = [3, 3]>", size)
    assert expand_adaptive_pooling(onnx.parser.parse_model(text)).graph.node[0].op_type == "AdaptiveAvgPool2d"


def test_too_many_windows_are_refused_with_the_cure():
    model = parse(
        "g (float[1,3,16,16] x) => (float[1,3,200,200] y) { y = AdaptiveAvgPool2d<output_size=[200,200]>(x) }"
    )
    with pytest.raises(ModelError, match=r"200 x 200 has more than 10000 windows.*adaptive-avgpool"):
        expand_adaptive_pooling(model)
