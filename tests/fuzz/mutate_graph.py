"""Change valid models as exporters and users could: the result is often valid, too, and never damaged as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from random import Random

_TYPES = (1, 10, 11, 16, 6, 7, 2, 3, 9, 8)
"""Float types, integers, booleans and text, as ONNX numbers them."""

_SIZES = (0, 1, 2, 3, 4, 5, 8, -1, "N", "batch", "a b", None)

_NAMES = ("b0", "x_scale", "w_quantized", "image_2", "Conv_0", "output", "a/b:0", "tränen", "1", "unk__0")


def mutate_graph(seeds: list[bytes], rng: Random) -> bytes:
    """Return one of `seeds` with one to three changes."""
    model = onnx.ModelProto.FromString(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(_CHANGES)(model, rng)
    content: bytes = model.SerializeToString()
    return content


def _tensors(graph: onnx.GraphProto) -> list[str]:
    stored = [tensor.name for tensor in graph.initializer]
    return [*(value.name for value in graph.input), *stored, *(name for node in graph.node for name in node.output)]


def _node(model: onnx.ModelProto, rng: Random) -> onnx.NodeProto:
    return rng.choice(model.graph.node)


def _element_type(model: onnx.ModelProto, rng: Random) -> None:
    graph = model.graph
    kind = rng.choice(_TYPES)
    if graph.initializer and rng.random() < 0.4:
        tensor = rng.choice(graph.initializer)
        if kind != TensorProto.STRING:
            array = numpy_helper.to_array(tensor)
            dtype = helper.tensor_dtype_to_np_dtype(kind)
            tensor.CopyFrom(numpy_helper.from_array(array.astype(dtype), tensor.name))
    else:
        values = rng.choice(([*graph.input, *graph.output], list(graph.input) or list(graph.output)))
        rng.choice(values).type.tensor_type.elem_type = kind


def _size(model: onnx.ModelProto, rng: Random) -> None:
    value = rng.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if not dims or rng.random() < 0.1:
        value.type.tensor_type.ClearField("shape")
        return
    dim, size = rng.choice(dims), rng.choice(_SIZES)
    dim.Clear()
    if isinstance(size, str):
        dim.dim_param = size
    elif size is not None:
        dim.dim_value = size


def _stored_shape(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        array = numpy_helper.to_array(tensor)
        forms = (array.reshape(-1), array.reshape(1, *array.shape), array.T, array[:0] if array.ndim else array, array)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rng.choice(forms)), tensor.name))


def _rename(model: onnx.ModelProto, rng: Random) -> None:
    graph = model.graph
    old, new = rng.choice(_tensors(graph)), rng.choice((*_NAMES, *_tensors(graph)))
    if rng.random() < 0.5:
        _node(model, rng).name = rng.choice((new, "", "conv"))
        return
    for part in (*graph.input, *graph.output, *graph.initializer):
        part.name = new if part.name == old else part.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]


def _attribute(model: onnx.ModelProto, rng: Random) -> None:
    node = _node(model, rng)
    if not node.attribute:
        node.attribute.append(helper.make_attribute(rng.choice(("axis", "keepdims", "to", "perm", "alpha")), 1))
        return
    attribute = rng.choice(node.attribute)
    if rng.random() < 0.3:
        node.attribute.remove(attribute)
    elif attribute.type == attribute.INT:
        attribute.i = rng.choice((0, 1, 2, -1, 3, 7, attribute.i + 1))
    elif attribute.type == attribute.FLOAT:
        attribute.f = rng.choice((0.0, 1.0, -1.0, 0.5, float("inf")))
    elif attribute.type == attribute.INTS:
        attribute.ints[:] = rng.choice((attribute.ints[::-1], [], [1] * len(attribute.ints), [0, *attribute.ints]))
    elif attribute.type == attribute.STRING:
        attribute.s = rng.choice((b"linear", b"cubic", b"nearest", b"half_pixel", b"asymmetric", b"floor", b"NOTSET"))


def _inputs(model: onnx.ModelProto, rng: Random) -> None:
    node = _node(model, rng)
    if not node.input:
        return
    place = rng.randrange(len(node.input))
    action = rng.choice(("drop", "blank", "double", "swap", "rewire", "rewire"))
    if action == "drop":
        del node.input[place]
    elif action == "blank":
        node.input[place] = ""
    elif action == "double":
        node.input.insert(place, node.input[place])
    elif action == "swap":
        node.input[:] = node.input[::-1]
    else:
        node.input[place] = rng.choice(_tensors(model.graph))


def _versions(model: onnx.ModelProto, rng: Random) -> None:
    if rng.random() < 0.5:
        model.ir_version = rng.randrange(3, 12)
    else:
        rng.choice(model.opset_import).version = rng.randrange(8, 25)


def _domain(model: onnx.ModelProto, rng: Random) -> None:
    _node(model, rng).domain = rng.choice(("ai.onnx", "vendor", "com.microsoft"))
    if rng.random() < 0.7:
        model.opset_import.append(helper.make_opsetid(rng.choice(("vendor", "com.microsoft", "ai.onnx")), 1))


def _kind_of_constant(model: onnx.ModelProto, rng: Random) -> None:
    graph = model.graph
    if not graph.initializer:
        return
    tensor = rng.choice(graph.initializer)
    if rng.random() < 0.5:
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        if rng.random() < 0.7:
            return
    else:
        graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    graph.initializer.remove(tensor)


def _insert(model: onnx.ModelProto, rng: Random) -> None:
    """Put a node, or two that undo each other, in front of an input of a node."""
    graph = model.graph
    index = rng.randrange(len(graph.node))
    node = graph.node[index]
    if not node.input or not (name := node.input[place := rng.randrange(len(node.input))]):
        return
    rows: tuple[tuple[tuple[str, dict[str, Any]], ...], ...] = (
        (("Identity", {}),),
        (("Dropout", {}),),
        (("Cast", {"to": rng.choice(_TYPES)}), ("Cast", {"to": rng.choice((1, 7))})),
        (("Transpose", {}), ("Transpose", {})),
        (("Flatten", {"axis": 1}),),
        (("Relu", {}), ("Relu", {})),
    )
    for number, (op, attributes) in enumerate(rng.choice(rows)):
        result = f"{name}_new{index}_{number}_{rng.randrange(1000)}"
        graph.node.insert(index + number, helper.make_node(op, [name], [result], **attributes))
        name = result
    graph.node[index + number + 1].input[place] = name


def _double_node(model: onnx.ModelProto, rng: Random) -> None:
    """Add an equal node, and let some node read it in place of the first."""
    graph = model.graph
    index = rng.randrange(len(graph.node))
    copy = onnx.NodeProto()
    copy.CopyFrom(graph.node[index])
    copy.output[:] = [f"{name}_again" for name in copy.output]
    graph.node.insert(index + 1, copy)
    for node in graph.node[index + 2 :]:
        for place, name in enumerate(node.input):
            if f"{name}_again" in copy.output and rng.random() < 0.5:
                node.input[place] = f"{name}_again"


def _more_outputs(model: onnx.ModelProto, rng: Random) -> None:
    model.graph.output.append(onnx.ValueInfoProto(name=rng.choice(_tensors(model.graph))))


def _into_body(model: onnx.ModelProto, rng: Random) -> None:
    """Move a node into both branches of an If whose condition is an input or a constant."""
    graph = model.graph
    index = rng.randrange(len(graph.node))
    node = onnx.NodeProto()
    node.CopyFrom(graph.node[index])
    branches = {}
    for name in ("then_branch", "else_branch"):
        inner = onnx.NodeProto()
        inner.CopyFrom(node)
        inner.output[:] = [f"{output}_{name}" for output in node.output]
        outputs = [onnx.ValueInfoProto(name=output) for output in inner.output]
        for output in outputs:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
        branches[name] = helper.make_graph([inner], name, [], outputs)
    if rng.random() < 0.5:
        graph.initializer.append(numpy_helper.from_array(np.array(rng.random() < 0.5), "chosen"))
    else:
        graph.input.append(helper.make_tensor_value_info("chosen", TensorProto.BOOL, []))
    graph.node[index].CopyFrom(helper.make_node("If", ["chosen"], list(node.output), **branches))


_CHANGES = (
    *(_element_type, _size, _stored_shape, _rename, _attribute, _attribute, _inputs, _versions, _domain),
    *(_kind_of_constant, _insert, _insert, _double_node, _more_outputs, _into_body),
)
