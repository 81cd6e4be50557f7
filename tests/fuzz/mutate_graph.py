"""Change the structure of a valid ONNX model: types, sizes, names, attributes, edges, interface, versions, bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from declarations import (
    constant_node,
    default_input,
    element_type,
    input_for_stored,
    metadata,
    no_shape,
    open_batch,
    size,
    stored_for_input,
    stored_type,
    stored_values,
    twice_stored,
    versions,
    wrong_shape,
)
from graph_parts import NAMES, TYPES, any_node, names_made, rename, typed_values
from onnx import AttributeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from random import Random

OPERATORS = ("Relu", "Neg", "Identity", "Sigmoid", "Add", "Mul", "Max", "Concat", "Cast", "Softmax", "Conv", "Resize")


def mutate_graph(seeds: list[bytes], rng: Random) -> bytes:
    """Return one of `seeds` with one to four of its parts changed."""
    model = onnx.ModelProto.FromString(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        rng.choice(_CHANGES)(model, rng)
    content: bytes = model.SerializeToString()
    return content


def _tensor_name(model: onnx.ModelProto, rng: Random) -> None:
    if names := names_made(model):
        rename(model, rng.choice(names), rng.choice((*NAMES, rng.choice(names) + "_2")))


def _reader_name(model: onnx.ModelProto, rng: Random) -> None:
    if names := names_made(model):
        rename(model, rng.choice(names), rng.choice((*names, *NAMES)), makes=rng.random() < 0.3)


def _node_names(model: onnx.ModelProto, rng: Random) -> None:
    name = rng.choice((*NAMES, *names_made(model)))
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
    any_node(model, rng).attribute.append(_made_attribute(rng.choice(names), value))


def _inputs(model: onnx.ModelProto, rng: Random) -> None:
    names = any_node(model, rng).input
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
            names[index] = rng.choice(names_made(model))


def _outputs(model: onnx.ModelProto, rng: Random) -> None:
    outputs, made = model.graph.output, names_made(model)
    match rng.randrange(4):
        case 0 if made:
            known = {value.name: value for value in typed_values(model)}
            name = rng.choice(made)
            outputs.append(known.get(name, helper.make_tensor_value_info(name, rng.choice((1, 1, 7)), None)))
        case 1 if outputs:
            outputs.append(rng.choice(outputs))
        case 2 if outputs:
            outputs.remove(rng.choice(outputs))
        case _:
            any_node(model, rng).output.append(rng.choice(("", "spare", *made)))


def _output_twice(model: onnx.ModelProto, rng: Random) -> None:
    """Let a node read an output of the graph, and give what it makes out as well."""
    if model.graph.output:
        old = rng.choice(model.graph.output)
        model.graph.node.add(
            op_type=rng.choice(("Relu", "Identity", "Neg")), input=[old.name], output=[f"{old.name}_r"]
        )
        model.graph.output.append(old)
        model.graph.output[-1].name += "_r"


def _domain(model: onnx.ModelProto, rng: Random) -> None:
    any_node(model, rng).domain = rng.choice(("ai.onnx", "", "vendor", "com.microsoft"))


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
    if not (names := names_made(model)):
        return
    name = rng.choice(names)
    rename(model, name, f"{name}_in", makes=name not in {value.name for value in model.graph.input}, reads=False)
    source = name if name in {value.name for value in model.graph.input} else f"{name}_in"
    op, attributes = rng.choice((
        ("Identity", {}), ("Relu", {}), ("Neg", {}), ("Cast", {"to": 1}), ("Cast", {"to": 11}), ("Cast", {"to": 6}),
        ("Transpose", {"perm": [0, 2, 3, 1]}), ("Transpose", {}), ("Dropout", {}), ("Softmax", {"axis": 1}),
        ("ArgMax", {"axis": 1}), ("GlobalAveragePool", {}), ("Abs", {}), ("Flatten", {}), ("Shape", {}),
        ("AveragePool", {"kernel_shape": [2, 2]}), ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ))  # fmt: skip
    made = f"{name}_out" if source == name else name
    if source == name:
        rename(model, name, made, makes=False)
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
    element_type, stored_type, size, size, open_batch, no_shape, _tensor_name, _reader_name, _node_names, _attribute,
    _attribute, _extra_attribute, _inputs, _inputs, _outputs, _outputs, _output_twice, versions, _domain,
    default_input, input_for_stored, stored_for_input, constant_node, constant_node, stored_values, stored_values,
    twice_stored, _inside, _inside, wrong_shape, metadata, _nodes, _nodes, _insert, _insert, _pair, _pair,
)  # fmt: skip
