"""How tests write, run and look into small graphs, and the networks that several of them take."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.rewriting.report import Result

HEIGHT, WIDTH = 32, 64


def parse(text: str, opset: int = 13, **initializers: NDArray[Any]) -> onnx.ModelProto:
    """Read a graph in ONNX's text form, without the header, and give it initializers.

    Nodes of the domain ``vendor`` are operators that ONNX does not have.
    """
    vendor = ', "vendor" : 1' if "vendor." in text else ""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}{vendor}]> {text}')
    return add_initializers(model, **initializers)


def add_initializers(model: onnx.ModelProto, **arrays: NDArray[Any]) -> onnx.ModelProto:
    """Append arrays as initializers to `model`, and return it."""
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items())
    return model


def save(model: onnx.ModelProto, file: Path) -> Path:
    """Write `model` to `file`, and return that."""
    onnx.save(model, file)
    return file


def run(model: onnx.ModelProto, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
    """Run a model in onnxruntime on inputs in the order of the graph, and return the outputs in order.

    Adaptive average pooling, which onnxruntime does not have, is written out before.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = expand_adaptive_pooling(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def random_input(*shape: int, dtype: type = np.float32) -> NDArray[Any]:
    """Return numbers of a normal distribution, the same for every call."""
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


def operators(model: onnx.ModelProto) -> list[str]:
    """Return the operators of the nodes of `model`, in order."""
    return [node.op_type for node in model.graph.node]


def initializer(model: onnx.ModelProto, name: str) -> NDArray[Any]:
    """Return a copy of the values of an initializer."""
    (found,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    return numpy_helper.to_array(found).copy()


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element type of every tensor of a graph whose type is known."""
    graph = model.graph
    known = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in known}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def inputs_of(model: onnx.ModelProto, name: str) -> list[str]:
    """Return the names of the tensors that a node reads."""
    return list(next(node.input for node in model.graph.node if node.name == name))


def skips(result: Result) -> dict[str, str]:
    """Return why the first pass left nodes alone, by node."""
    return {skip.node: skip.why for skip in result.steps[0].skips}


def floats(*numbers: float) -> NDArray[np.float32]:
    """Return numbers as a float32 array."""
    return np.array(numbers, dtype=np.float32)


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
    shapes = {"first": (8, 3, 2, 2), "second": (19, 8, 1, 1), "aux": (19, 3, 1, 1)}
    return add_initializers(model, **{name: rng.standard_normal(s).astype(np.float32) for name, s in shapes.items()})


def small_fastscnn() -> onnx.ModelProto:
    """FastSCNN in small: convolutions, a pyramid of two adaptive poolings, a main and an auxiliary head."""
    model = parse("""
        small (float[1,3,32,64] image) => (float[1,5,32,64] output1, float[1,5,32,64] output2)
        <int64[4] inner = {1, 4, 8, 16}, int64[4] outer = {1, 5, 32, 64}>
        {
            [stem] c = Conv<strides=[4,4], kernel_shape=[4,4]>(image, w_stem, b_stem)
            [stem_norm] n = BatchNormalization(c, scale, shift, mean, variance)
            [stem_relu] x = Relu(n)
            [pool1] p1 = vendor.AdaptiveAvgPool2d<output_size=[1,1]>(x)
            [bin1] q1 = Conv(p1, w_bin)
            [up1] u1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(q1, , , inner)
            [pool3] p3 = vendor.AdaptiveAvgPool2d<output_size=[3,3]>(x)
            [bin3] q3 = Conv(p3, w_bin)
            [up3] u3 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(q3, , , inner)
            [join] y = Concat<axis=1>(x, u1, u3)
            [main] z = Conv(y, w_main)
            [main_up] output1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(z, , , outer)
            [aux] a = Conv(x, w_aux)
            [aux_up] output2 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(a, , , outer)
        }
    """)
    rng = np.random.default_rng(3)
    shapes = {
        "w_stem": (8, 3, 4, 4),
        "b_stem": (8,),
        "scale": (8,),
        "shift": (8,),
        "mean": (8,),
        "w_bin": (4, 8, 1, 1),
        "w_main": (5, 16, 1, 1),
        "w_aux": (5, 8, 1, 1),
    }
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    weights["variance"] = rng.uniform(0.5, 2, 8).astype(np.float32)
    return add_initializers(model, **weights)
