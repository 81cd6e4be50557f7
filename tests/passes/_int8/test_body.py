"""Which nodes are layers, and why others are not."""

import onnx
import pytest
from graphs import parse
from quantised import LAYERS, node


def test_a_graph_without_layers_is_left_alone(rewrite):
    model = parse("g (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }")
    step = rewrite(model, "int8").steps[0]
    assert [(skip.node, skip.why) for skip in step.skips] == [
        ("graph", "has no Conv or Gemm with constant float32 weights")
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("float[4,3,1,1] w", "its weights are computed in the graph, so it stays in float"),
        ("float16[4,3,1,1] w", "its weights are computed in the graph, so it stays in float"),
    ],
)
def test_computed_weights_are_no_layer(rewrite, text, reason):
    model = parse(f"g (float[1,3,8,8] x, {text}) => (float[1,4,8,8] y) {{ v = Cast<to=1>(w) [conv] y = Conv(x, v) }}")
    assert ("conv", reason) in [(skip.node, skip.why) for skip in rewrite(model, "int8").steps[0].skips]


@pytest.mark.parametrize("layer", ["stem", "point", "out"])
def test_an_empty_bias_is_none(network, rewrite, layer):
    plain = onnx.ModelProto()
    plain.CopyFrom(network)
    del node(plain, layer).input[2]
    del node(network, layer).input[2]
    node(network, layer).input.append("")
    result = rewrite(network, "int8{images=1}")
    assert [change.node for change in result.steps[0].changes] == LAYERS
    assert result.model.SerializeToString() == rewrite(plain, "int8{images=1}").model.SerializeToString()


def test_a_computed_bias_is_told(rewrite):
    model = parse("""
        g (float[1,3,8,8] x, float16[4] h) => (float[1,4,8,8] y) <float[4,3,1,1] w = {1,2,3,4,5,6,7,8,9,10,11,12}>
        { b = Cast<to=1>(h) [conv] y = Conv(x, w, b) }
    """)
    (skip, _) = rewrite(model, "int8").steps[0].skips
    assert (skip.node, skip.why) == ("conv", "its bias is computed in the graph, so it stays in float")


def test_parameters_that_layers_share_through_an_identity_are_constants(rewrite):
    model = parse("""
        g (float[1,3,32,32] x) => (float[1,3,32,32] y)
        <float[3,3,1,1] w = {1,2,3,4,5,6,7,8,9}, float[3] b = {0.5,0.25,-2}>
        { v = Identity(w) c = Identity(b) [first] h = Conv(x, w, b) r = Relu(h) [second] y = Conv(r, v, c) }
    """)
    result = rewrite(model, "int8{images=1}")
    assert [change.node for change in result.steps[0].changes] == ["first", "second"]
    onnx.checker.check_model(result.model, full_check=True)
    assert "Identity" not in {node.op_type for node in result.model.graph.node}
