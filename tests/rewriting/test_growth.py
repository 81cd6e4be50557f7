"""The work of a pipeline grows with the number of nodes and no faster: counted in calls, so no clock can disturb it."""

import sys

import numpy as np
import onnx
import pytest

from fastscnn_opt.rewriting.manager import PassManager


def network(blocks):
    """Blocks of convolution, pooling and resizing one after another, each with an output of its own."""
    nodes, source, outputs = [], "image", []
    for index in range(blocks):
        names = [f"{kind}{index}" for kind in "crpu"]
        nodes += [
            onnx.helper.make_node("Conv", [source, "w"], names[:1]),
            onnx.helper.make_node("Relu", names[:1], names[1:2]),
            onnx.helper.make_node("AdaptiveAvgPool2d", names[1:2], names[2:3], domain="custom", output_size=[3, 3]),
            onnx.helper.make_node("Resize", [names[2], "", "", "size"], names[3:], mode="linear"),
        ]
        source = names[3]
        outputs.append(onnx.helper.make_tensor_value_info(source, onnx.TensorProto.FLOAT, [1, 2, 8, 8]))
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 2, 8, 8])
    weights = {"w": np.ones((2, 2, 1, 1), np.float32), "size": np.array([1, 2, 8, 8])}
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = onnx.helper.make_graph(nodes, "g", [image], outputs[::-1], initializers)
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("custom", 1)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def calls(pipeline, model):
    """Count the calls, of Python and of C, that the pipeline makes."""
    count = 0

    def tally(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    manager = PassManager(pipeline, verify=False)
    sys.setprofile(tally)
    try:
        manager.run(model)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "pipeline",
    [
        *("adaptive-avgpool", "drop-outputs", "argmax-output", "resize-nearest", "fp16-output,argmax-output"),
        "adaptive-avgpool,remove-noops,deduplicate,drop-outputs,argmax-output,fast-argmax",
    ],
)
def test_twice_the_nodes_take_twice_the_calls(pipeline):
    calls(pipeline, network(4))  # what is done once only
    few, many = calls(pipeline, network(50)), calls(pipeline, network(100))
    assert many < 2.3 * few
