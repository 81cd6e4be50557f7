"""The quantised nodes: scales of weights, clipping, sums, bytes and the last layer."""

import numpy as np
import onnx
from graphs import add_initializers, initializer, parse, run
from quantised import maker, node, quantisation, scenes, tap


def test_weights_have_a_symmetric_scale_per_output_channel(network, rewrite):
    model = rewrite(network, "int8{images=1 equalise=false}").model
    scale, zero = quantisation(model, "point", 1)
    weight = initializer(network, "w_point")
    np.testing.assert_allclose(scale, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-5)
    assert zero.dtype == np.int8
    assert not zero.any()
    stored = initializer(model, maker(model, node(model, "point").input[1]).input[0])
    np.testing.assert_array_equal(stored, np.round(weight / scale[:, None, None, None]).astype(np.int8))


def test_a_relu_becomes_the_clipping_of_its_layer(network, rewrite):
    model = rewrite(network, "int8{images=1}").model
    assert "Relu" not in {node.op_type for node in model.graph.node}
    assert quantisation(model, "deep")[1] == 0


def test_the_sum_between_layers_works_on_int8_and_the_tail_does_not(network, rewrite):
    model = rewrite(network, "int8{images=1}").model
    assert all(maker(model, tensor).op_type == "DequantizeLinear" for tensor in node(model, "sum").input)
    readers = {node.op_type for node in model.graph.node if "logits" in node.input}
    assert readers == set()
    assert maker(model, "logits").op_type == "Resize"


def test_the_last_layer_multiplies_bytes_and_hands_its_sums_to_the_tail_in_float(network, rewrite):
    model = rewrite(network, "int8{images=1}").model
    image = scenes(1)[0]
    read = run(tap(model, node(model, "out").input[0]), image)[0]
    weight = run(tap(model, node(model, "out").input[1]), image)[0]
    wanted = np.einsum("nhwc,cf->nfhw", read.astype(np.float64), weight) + initializer(network, "b_out")[:, None, None]
    assert node(model, "out").op_type == "MatMul"
    np.testing.assert_allclose(run(tap(model, "g0"), image)[0], wanted, atol=1e-3)


def test_bytes_are_read_without_error_and_without_a_node(rewrite):
    model = parse("""
        g (uint8[1,64,128,3] image) => (float[1,8,62,126] y) {
            a = Transpose<perm=[0,3,1,2]>(image)
            [cast] b = Cast<to=1>(a)
            [first] c = Conv(b, w)
            [second] y = Conv(c, v)
        }
    """)
    for name, shape in (("w", (8, 3, 3, 3)), ("v", (8, 8, 1, 1))):
        add_initializers(model, **{name: np.random.default_rng(1).standard_normal(shape).astype(np.float32)})
    result = rewrite(model, "int8{images=1}").model
    assert quantisation(result, "first") == (1.0, 0)
    assert maker(result, maker(result, node(result, "first").input[0]).input[0]).op_type == "Transpose"
    assert not {"Cast"} & {node.op_type for node in result.graph.node}
    assert result.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
