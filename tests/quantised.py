"""A network to quantise, the scenes that calibrate it, and what a quantised model holds."""

from functools import cache

import numpy as np
import onnx
from graphs import add_initializers, initializer, parse

from fastscnn_opt.demo.scenes import render_scene

SIZE = (64, 128)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SHAPES = {
    "w_stem": (8, 3, 3, 3), "b_stem": (8,), "w_deep": (8, 1, 3, 3), "b_deep": (8,), "w_point": (8, 8, 1, 1),
    "b_point": (8,), "w_out": (19, 8, 1, 1), "b_out": (19,),
}  # fmt: skip
LAYERS = ["stem", "deep", "point", "out"]


def separable_network() -> onnx.ModelProto:
    """A depthwise separable network for images of `SIZE` with a residual sum, and a Resize of its logits."""
    model = parse("""
        g (float[1,3,64,128] image) => (float[1,19,64,128] logits) <float[4] up = {1, 1, 2, 2}> {
            [stem] a = Conv<strides=[2,2], pads=[1,1,1,1]>(image, w_stem, b_stem)
            [stem_relu] b = Relu(a)
            [deep] c = Conv<group=8, pads=[1,1,1,1]>(b, w_deep, b_deep)
            [deep_relu] d = Relu(c)
            [point] e = Conv(d, w_point, b_point)
            [sum] f = Add(b, e)
            [out] g0 = Conv(f, w_out, b_out)
            [enlarge] logits = Resize<mode="linear">(g0, , up)
        }
    """)
    rng = np.random.default_rng(11)
    for name, shape in SHAPES.items():
        weight = rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]))
        add_initializers(model, **{name: weight.astype(np.float32)})
    return model


def scenes(count: int = 8, seed: int = 0) -> list[np.ndarray]:
    """Return normalised scenes as the network takes them, by the formula."""
    return [_scene(seed + index) for index in range(count)]


@cache
def _scene(seed: int) -> np.ndarray:
    image = render_scene(seed, height=SIZE[0], width=SIZE[1])[0]
    return ((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """Return the node of a name."""
    (found,) = (node for node in model.graph.node if node.name == name)
    return found


def maker(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    """Return the node that makes a tensor."""
    (found,) = (node for node in model.graph.node if tensor in node.output)
    return found


def tap(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """Return a copy of `model` whose only output is an inner tensor."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    return copy


def quantisation(model: onnx.ModelProto, layer: str, index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and zero point with which a node reads one of its inputs."""
    dequantise = maker(model, node(model, layer).input[index])
    assert dequantise.op_type == "DequantizeLinear"
    return initializer(model, dequantise.input[1]), initializer(model, dequantise.input[2])


def with_weights(model: onnx.ModelProto, **shapes: tuple[int, ...]) -> onnx.ModelProto:
    """Give a model random initializers of these shapes."""
    rng = np.random.default_rng(5)
    for name, shape in shapes.items():
        weight = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        add_initializers(model, **{name: weight})
    return model
