"""Graphs that tests of several rooms build."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

HEIGHT, WIDTH = 32, 64


def segmenter() -> onnx.ModelProto:
    """Three heads, an adaptive pooling that no average pooling equals, and bilinear Resize nodes."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 13]>
        net (float[1,3,{HEIGHT},{WIDTH}] image)
            => (float[1,19,{HEIGHT},{WIDTH}] output1, float[1,19,{HEIGHT},{WIDTH}] output2,
            float[1,19,{HEIGHT},{WIDTH}] output3)
        <float[4] twice = {{1, 1, 2, 2}}, float[4] up = {{1, 1, 5.333334, 10.666667}}>
        {{
            [shrink] small = Conv<strides = [2, 2], kernel_shape = [2, 2]>(image, first)
            [pool] pooled = AdaptiveAvgPool2d<output_size = [3, 3]>(small)
            [unpool] spread = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(pooled, , up)
            [join] joined = Add(small, spread)
            [relu] active = Relu(joined)
            [classify] scores = Conv(active, second)
            [head] output1 = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(scores, , twice)
            [head2] output2 = Conv(image, aux)
            [head3] output3 = Neg(output2)
        }}
    """)
    rng = np.random.default_rng(7)
    for name, shape in {"first": (8, 3, 2, 2), "second": (19, 8, 1, 1), "aux": (19, 3, 1, 1)}.items():
        weights = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
    return model


def with_lowered_pooling(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every AdaptiveAvgPool2d by slices and means, window by window, so that onnxruntime can run the model."""
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim] for info in lowered.graph.value_info
    }
    nodes: list[onnx.NodeProto] = []
    for node in lowered.graph.node:
        if node.op_type != "AdaptiveAvgPool2d":
            nodes.append(node)
            continue
        bins = next(attribute.ints for attribute in node.attribute if attribute.name == "output_size")
        source = node.input[0]
        for axis, count in zip((2, 3), bins, strict=True):
            source = _pooled(lowered.graph, nodes, source, axis, shapes[node.input[0]][axis], count)
        nodes[-1].output[0] = node.output[0]
    del lowered.graph.node[:]
    lowered.graph.node.extend(nodes)
    return lowered


def _pooled(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], source: str, axis: int, length: int, bins: int) -> str:
    name = f"{source}_{axis}_{bins}"
    means = []
    for index in range(bins):
        window = (index * length // bins, -(-(index + 1) * length // bins))
        bounds = []
        for part, value in (("from", window[0]), ("to", window[1]), ("axis", axis)):
            bounds.append(f"{name}_{index}_{part}")
            graph.initializer.append(numpy_helper.from_array(np.array([value]), bounds[-1]))
        nodes.append(helper.make_node("Slice", [source, *bounds], [f"{name}_{index}_slice"]))
        means.append(f"{name}_{index}_mean")
        nodes.append(helper.make_node("ReduceMean", [f"{name}_{index}_slice"], [means[-1]], axes=[axis], keepdims=1))
    nodes.append(helper.make_node("Concat", means, [name], axis=axis))
    return name


def run_with_lowered_pooling(model: onnx.ModelProto, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the outputs of a model of one input `image` in onnxruntime, with adaptive pooling written out."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        with_lowered_pooling(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"image": image})
