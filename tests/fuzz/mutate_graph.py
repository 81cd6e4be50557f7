"""Change the structure of a valid ONNX model: types, sizes, names, attributes, edges, interface, versions, bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from random import Random

NAMES = (
    "",
    "image",
    "output1",
    "unk__0",
    "x_scale",
    "b0",
    "w_quantized",
    "N",
    "x_fp16",
    "a b",
    "a|b",
    "\u00e9\x1b[31m",
)
"""Names that clash with others or with made-up ones, or that are unusual."""

TYPES = (1, 1, 1, 10, 11, 7, 6, 9, 2, 3, 8, 16, 17, 22, 14, 0)
"""Element types: mostly those that images and indices have."""

OPERATORS = ("Relu", "Neg", "Identity", "Sigmoid", "Add", "Mul", "Max", "Concat", "Cast", "Softmax", "Conv", "Resize")

KEYS = ("names", "fastscnn_opt.palette", "fastscnn_opt.preprocess", "Image.BitmapPixelFormat", "author")

TEXTS = ("", "{}", "{0: 'road'}", "[[1, 2, 3]]", '{"image_mean": "x"}', '{"image_std": [0]}', "Bgr8", "[" * 300, "nan")


def mutate_graph(seeds: list[bytes], rng: Random) -> bytes:
    """Return one of `seeds` with one to four of its parts changed."""
    model = onnx.ModelProto.FromString(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        rng.choice(_CHANGES)(model, rng)
    content: bytes = model.SerializeToString()
    return content


def _values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return [*model.graph.input, *model.graph.output, *model.graph.value_info]


def _made(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    made = [name for node in graph.node for name in node.output if name]
    return [*(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer), *made]


def _node(model: onnx.ModelProto, rng: Random) -> onnx.NodeProto:
    return rng.choice(model.graph.node) if model.graph.node else model.graph.node.add(op_type="Identity")


def _rename(model: onnx.ModelProto, old: str, new: str, *, reads: bool = True, makes: bool = True) -> None:
    """Rename a tensor where nodes of the main graph read it, and where it comes from."""
    for node in model.graph.node:
        for names in [node.input] * reads + [node.output] * makes:
            names[:] = [new if name == old else name for name in names]
    sources = [*model.graph.input, *model.graph.initializer] if makes else []
    for value in sources + [*model.graph.output] * reads:
        value.name = new if value.name == old else value.name


def _type(model: onnx.ModelProto, rng: Random) -> None:
    if values := _values(model):
        rng.choice(values).type.tensor_type.elem_type = rng.choice(TYPES)


def _stored_type(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        if tensor.data_type in (1, 6, 7, 10, 11):
            kind = rng.choice((np.float32, np.float16, np.float64, np.int64, np.int32, np.uint8, np.bool_))
            values = np.nan_to_num(numpy_helper.to_array(tensor), posinf=0, neginf=0)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(kind), tensor.name))


def _size(model: onnx.ModelProto, rng: Random) -> None:
    values = [value for value in _values(model) if value.type.tensor_type.shape.dim]
    if not values:
        return
    dims = rng.choice(values).type.tensor_type.shape.dim
    dim = rng.choice(dims)
    match rng.randrange(6):
        case 0:
            dim.dim_value = rng.choice((0, 1, 2, 3, 7, -1))
        case 1:
            dim.dim_param = rng.choice(NAMES)
        case 2:
            dim.Clear()
        case 3:
            del dims[rng.randrange(len(dims))]
        case 4:
            dims.add(dim_value=rng.choice((1, 2)))
        case _:
            for each in dims:
                each.dim_param = rng.choice(("N", "H", "unk__0"))


def _open_batch(model: onnx.ModelProto, rng: Random) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = rng.choice(("N", "batch"))


def _no_shape(model: onnx.ModelProto, rng: Random) -> None:
    if values := [*model.graph.output, *model.graph.value_info]:
        rng.choice(values).type.tensor_type.ClearField("shape")


def _tensor_name(model: onnx.ModelProto, rng: Random) -> None:
    if names := _made(model):
        _rename(model, rng.choice(names), rng.choice((*NAMES, rng.choice(names) + "_2")))


def _reader_name(model: onnx.ModelProto, rng: Random) -> None:
    if names := _made(model):
        _rename(model, rng.choice(names), rng.choice((*names, *NAMES)), makes=rng.random() < 0.3)


def _node_names(model: onnx.ModelProto, rng: Random) -> None:
    name = rng.choice((*NAMES, *_made(model)))
    for node in model.graph.node:
        node.name = name


def _attribute(model: onnx.ModelProto, rng: Random) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return
    attributes = rng.choice(nodes).attribute
    attribute = rng.choice(attributes)
    match rng.randrange(4):
        case 0:
            attributes.remove(attribute)
        case 1:
            attributes.append(attribute)
        case 2:
            value = rng.choice((0, 1, -1, 1.5, "x", [], [1, 1], [0.5], ["a"], np.zeros(2, np.float32)))
            attribute.CopyFrom(_made_attribute(attribute.name, value))
        case _:
            if attribute.type == AttributeProto.INT:
                attribute.i = rng.choice((0, 1, 2, -1, -2, 3, 10, 2**40))
            elif attribute.type == AttributeProto.FLOAT:
                attribute.f = rng.choice((0.0, -1.0, 0.5, float("nan"), float("inf")))
            elif attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice((0, 1, 2, -1, 3, 8))


def _made_attribute(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value)
    kind = AttributeProto.INTS if isinstance(value, list) and not value else None
    return helper.make_attribute(name, value, attr_type=kind)


def _extra_attribute(model: onnx.ModelProto, rng: Random) -> None:
    names = ("axis", "alpha", "group", "mode", "to", "keepdims", "auto_pad", "ceil_mode", "unknown")
    value = rng.choice((0, 1, 0.5, "SAME_UPPER", [], [1, 2]))
    _node(model, rng).attribute.append(_made_attribute(rng.choice(names), value))


def _inputs(model: onnx.ModelProto, rng: Random) -> None:
    names = _node(model, rng).input
    if not names:
        return
    index = rng.randrange(len(names))
    match rng.randrange(5):
        case 0:
            del names[index]
        case 1:
            names.append(names[index])
        case 2:
            names[:] = rng.sample(list(names), len(names))
        case 3:
            names[index] = ""
        case _:
            names[index] = rng.choice(_made(model))


def _outputs(model: onnx.ModelProto, rng: Random) -> None:
    outputs, made = model.graph.output, _made(model)
    match rng.randrange(4):
        case 0 if made:
            known = {value.name: value for value in _values(model)}
            name = rng.choice(made)
            outputs.append(known.get(name, helper.make_tensor_value_info(name, rng.choice((1, 1, 7)), None)))
        case 1 if outputs:
            outputs.append(rng.choice(outputs))
        case 2 if outputs:
            outputs.remove(rng.choice(outputs))
        case _:
            _node(model, rng).output.append(rng.choice(("", "spare", *made)))


def _output_twice(model: onnx.ModelProto, rng: Random) -> None:
    """Let a node read an output of the graph, and give what it makes out as well."""
    if model.graph.output:
        old = rng.choice(model.graph.output)
        model.graph.node.add(
            op_type=rng.choice(("Relu", "Identity", "Neg")), input=[old.name], output=[f"{old.name}_r"]
        )
        model.graph.output.append(old)
        model.graph.output[-1].name += "_r"


def _versions(model: onnx.ModelProto, rng: Random) -> None:
    match rng.randrange(5):
        case 0:
            model.ir_version = rng.choice((3, 4, 6, 8, 10, 11, 13, 99))
        case 1 if model.opset_import:
            rng.choice(model.opset_import).version = rng.choice((1, 7, 8, 9, 11, 12, 13, 17, 18, 20, 22, 99))
        case 2:
            model.opset_import.add(
                domain=rng.choice(("", "ai.onnx", "vendor", "ai.onnx.ml")), version=rng.choice((1, 17))
            )
        case 3 if model.opset_import:
            del model.opset_import[rng.randrange(len(model.opset_import))]
        case _:
            for opset in model.opset_import:
                opset.domain = opset.domain or "ai.onnx"


def _domain(model: onnx.ModelProto, rng: Random) -> None:
    _node(model, rng).domain = rng.choice(("ai.onnx", "", "vendor", "com.microsoft"))


def _default_input(model: onnx.ModelProto, rng: Random) -> None:
    """Make a stored tensor an input as well, as exporters did before IR version 4."""
    if model.graph.initializer:
        many = [rng.choice(model.graph.initializer)] if rng.random() < 0.5 else model.graph.initializer
        model.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in many)
        model.ir_version = rng.choice((3, model.ir_version))


def _input_for_stored(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        model.graph.initializer.remove(tensor)


def _stored_for_input(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.input:
        value = rng.choice(model.graph.input)
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if (
            value.type.tensor_type.elem_type in (1, 7, 9, 10)
            and 0 <= np.prod(dims) < 10_000
            and min(dims, default=0) >= 0
        ):
            kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            model.graph.initializer.append(numpy_helper.from_array(np.ones(dims, kind), value.name))
            if rng.random() < 0.7:
                model.graph.input.remove(value)


def _constant_node(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        node = helper.make_node("Constant", [], [tensor.name], value=tensor)
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1 and rng.random() < 0.5:
            node = helper.make_node("Constant", [], [tensor.name], value_ints=numpy_helper.to_array(tensor).tolist())
        model.graph.node.insert(0, node)
        model.graph.initializer.remove(tensor)


def _stored_values(model: onnx.ModelProto, rng: Random) -> None:
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_type in (1, 6, 7, 10, 11)]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    values = numpy_helper.to_array(tensor).copy()
    match rng.randrange(4):
        case 0:
            special = (0, 1, -1, 1e30, np.nan, np.inf) if values.dtype.kind == "f" else (0, 1, -1, 2**31 - 1)
            values[...] = rng.choice(special)
        case 1:
            values = values[..., None] if rng.random() < 0.5 else values[None]
        case 2:
            values = values.reshape(-1)[: rng.choice((0, 1, 2))]
        case _:
            values = -values
    with np.errstate(all="ignore"):
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _twice_stored(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        copy = rng.choice(model.graph.initializer)
        model.graph.initializer.append(copy)
        if rng.random() < 0.8:
            model.graph.initializer[-1].name += "_copy"


def _inside(model: onnx.ModelProto, rng: Random) -> None:
    """Put a node into both branches of an If, or into a function."""
    if not model.graph.node:
        return
    index = rng.randrange(len(model.graph.node))
    node = onnx.NodeProto()
    node.CopyFrom(model.graph.node[index])
    if rng.random() < 0.3:
        inputs, outputs = [*dict.fromkeys(filter(None, node.input))], [*filter(None, node.output)]
        opsets = [helper.make_opsetid(one.domain, one.version) for one in model.opset_import]
        model.functions.append(helper.make_function("local", "wrapped", inputs, outputs, [node], opsets))
        model.graph.node[index].CopyFrom(helper.make_node("wrapped", inputs, outputs, domain="local"))
        model.opset_import.add(domain="local", version=1)
        return
    branches = []
    for branch in ("then", "else"):
        inner = onnx.NodeProto()
        inner.CopyFrom(node)
        inner.output[:] = [name and (name if rng.random() < 0.1 else f"{name}_{branch}") for name in node.output]
        made = [onnx.ValueInfoProto(name=name) for name in inner.output if name]
        branches.append(helper.make_graph([inner], branch, [], made))
    outputs = [name for name in node.output if name]
    model.graph.node[index].CopyFrom(
        helper.make_node("If", ["flag_in"], outputs, then_branch=branches[0], else_branch=branches[1])
    )
    if not any(value.name == "flag_in" for value in model.graph.input):
        model.graph.input.append(helper.make_tensor_value_info("flag_in", TensorProto.BOOL, []))


def _wrong_shape(model: onnx.ModelProto, rng: Random) -> None:
    made = [name for node in model.graph.node for name in node.output if name]
    if made:
        shape = rng.choice(([1], [1, 2, 3, 4], ["N", 3], [], None, [0], ["N", "C", "H", "W"]))
        value = helper.make_tensor_value_info(rng.choice(made), rng.choice((1, 1, 1, 7, 10)), shape)
        model.graph.value_info.append(value)


def _metadata(model: onnx.ModelProto, rng: Random) -> None:
    model.metadata_props.add(key=rng.choice(KEYS), value=rng.choice(TEXTS))
    model.doc_string = model.graph.doc_string = rng.choice(("", "about", "\u0000"))
    if model.graph.node:
        _node(model, rng).doc_string = "of a node"


def _nodes(model: onnx.ModelProto, rng: Random) -> None:
    nodes = model.graph.node
    if not nodes:
        return
    index = rng.randrange(len(nodes))
    match rng.randrange(4):
        case 0:
            del nodes[index]
        case 1:
            copy = onnx.NodeProto()
            copy.CopyFrom(nodes[index])
            copy.output[:] = [name and f"{name}_again" for name in copy.output]
            nodes.insert(rng.randrange(len(nodes) + 1), copy)
        case 2:
            mixed = rng.sample(list(nodes), len(nodes))
            del nodes[:]
            nodes.extend(mixed)
        case _:
            nodes[index].op_type = rng.choice(OPERATORS)


def _insert(model: onnx.ModelProto, rng: Random) -> None:
    """Put a node between a tensor and all its readers."""
    if not (names := _made(model)):
        return
    name = rng.choice(names)
    _rename(model, name, f"{name}_in", makes=name not in {value.name for value in model.graph.input}, reads=False)
    source = name if name in {value.name for value in model.graph.input} else f"{name}_in"
    op, attributes = rng.choice((
        ("Identity", {}), ("Relu", {}), ("Neg", {}), ("Cast", {"to": 1}), ("Cast", {"to": 11}), ("Cast", {"to": 6}),
        ("Transpose", {"perm": [0, 2, 3, 1]}), ("Transpose", {}), ("Dropout", {}), ("Softmax", {"axis": 1}),
        ("ArgMax", {"axis": 1}), ("GlobalAveragePool", {}), ("Abs", {}), ("Flatten", {}), ("Shape", {}),
        ("AveragePool", {"kernel_shape": [2, 2]}), ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ))  # fmt: skip
    made = f"{name}_out" if source == name else name
    if source == name:
        _rename(model, name, made, makes=False)
    at = 0 if source == name else next((i + 1 for i, n in enumerate(model.graph.node) if source in n.output), 0)
    model.graph.node.insert(at, helper.make_node(op, [source], [made], f"new_{op}", **attributes))


def _pair(model: onnx.ModelProto, rng: Random) -> None:
    """Put two nodes in a row, which may undo each other, in front of an input of a node."""
    if not model.graph.node:
        return
    index = rng.randrange(len(model.graph.node))
    names = model.graph.node[index].input
    if not names or not (name := names[place := rng.randrange(len(names))]):
        return
    op, attributes = rng.choice((("Transpose", {}), ("Cast", {"to": 1}), ("Relu", {}), ("Identity", {}), ("Neg", {})))
    first = {"to": rng.choice(TYPES[:-1])} if op == "Cast" else attributes
    between, result = f"{name}_{index}_between", f"{name}_{index}_behind"
    names[place] = result
    model.graph.node.insert(index, helper.make_node(op, [between], [result], **attributes))
    model.graph.node.insert(index, helper.make_node(op, [name], [between], **first))


_CHANGES = (
    _type, _stored_type, _size, _size, _open_batch, _no_shape, _tensor_name, _reader_name, _node_names, _attribute,
    _attribute, _extra_attribute, _inputs, _inputs, _outputs, _outputs, _output_twice, _versions, _domain,
    _default_input, _input_for_stored, _stored_for_input, _constant_node, _constant_node, _stored_values,
    _stored_values, _twice_stored, _inside, _inside, _wrong_shape, _metadata, _nodes, _nodes, _insert, _insert,
    _pair, _pair,
)  # fmt: skip
