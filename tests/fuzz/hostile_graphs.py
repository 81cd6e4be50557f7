"""Make hostile ONNX files: models that ask for too much, contradict themselves, or are damaged on purpose."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from string import Template
from typing import TYPE_CHECKING

import numpy as np
import onnx
from graph_parts import add_weights
from onnx import AttributeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

DATA_FILE = "weights.bin"
"""A file of `DATA_BYTES` bytes that is to lie beside the model."""

DATA_BYTES = 4096

_WORDS = {
    "BIG": "65536|100000|2147483647|2147483648|1099511627776|4611686018427387904|9223372036854775807",
    "COUNT": "500000000|1000000000|8589934592|1099511627776|4611686018427387904",
    "FLOAT": "1|0|-1|2|1000000000.0|1e-30|3e38|-0.0",
    "IMAGE": "g (float[1,3,8,8] x) => (y)",
    "SUM": "s = ReduceSum<keepdims=0>(c) y = Add(x, s)",
}
"""What stands for a word with a dollar in ``hostile_graphs.txt``."""


_CHOICE = re.compile(r"@\((.*?)\)@", re.DOTALL)


def _texts_of_models() -> dict[str, str]:
    """Return the models in ``hostile_graphs.txt``, where ``@(a|b)@`` stands for one of a and b, by their kinds."""
    text = Template(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")).substitute(_WORDS)
    return {kind: model for kind, _, model in (block.partition("\n") for block in text.split("\n\n"))}


_TEXTS = _texts_of_models()

_HEAD = '<ir_version: 10, opset_import: ["" : @(17|17|17|13|18|21|22)@, "own" : 1]> '

_PLAIN = (
    _HEAD
    + """
    net (float[1,3,8,8] x) => (float[1,4,8,8] y) <float[4,3,1,1] w, float[4] b = {0, 1, 2, 3}>
    { [conv] c = Conv(x, w, b) [relu] y = Relu(c) }
"""
)


def hostile_graph(number: int, seed: int = 0) -> tuple[str, bytes]:
    """Return the kind and the content of a hostile file; the kinds take turns."""
    rng = Random(f"{seed}/hostile/{number}")
    kind = KINDS[number % len(KINDS)]
    if kind in _TEXTS:
        return kind, _model(_HEAD + _TEXTS[kind], rng).SerializeToString()
    change = _CHANGES[kind]
    model = _model(_PLAIN, rng)
    return kind, change(model, rng) or model.SerializeToString()


def _model(text: str, rng: Random) -> onnx.ModelProto:
    """Choose one of the alternatives everywhere in a text, and give its weights as many values as they need."""
    model = onnx.parser.parse_model(_CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text))
    for tensor in model.graph.initializer:
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        values = np.array(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)), kind)
        tensor.CopyFrom(numpy_helper.from_array(np.resize(values, tuple(tensor.dims)), tensor.name))
    return add_weights(model)


def _nested_branches(model: onnx.ModelProto, rng: Random) -> bytes:
    """Put an If into a branch of an If, and so on; in the format of protobuf, since the library takes 100 levels."""
    made = onnx.ValueInfoProto(name="n")
    leaf = helper.make_graph([helper.make_node("Neg", ["c"], ["n"])], "b", [], [made])
    whole, other = leaf.SerializeToString(), helper.make_attribute("else_branch", leaf)
    for _ in range(rng.choice((3, 10, 24, 30, 40, 100, 200, 20_000))):
        branch = onnx.AttributeProto(name="then_branch", type=AttributeProto.GRAPH).SerializeToString() + _field(
            6, whole
        )
        node = helper.make_node("If", ["q"], ["n"])
        node.attribute.append(other)
        rest = onnx.GraphProto(name="b", output=[made]).SerializeToString()
        whole = _field(1, node.SerializeToString() + _field(5, branch)) + rest
    node = helper.make_node("If", ["q"], ["y"])
    node.attribute.append(other)
    branch = onnx.AttributeProto(name="then_branch", type=AttributeProto.GRAPH).SerializeToString() + _field(6, whole)
    model.graph.input.append(helper.make_tensor_value_info("q", TensorProto.BOOL, []))
    del model.graph.node[1]
    return bytes(model.SerializeToString() + _field(7, _field(1, node.SerializeToString() + _field(5, branch))))


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that holds a message."""
    size, length = bytearray(), len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content


def _nested_functions(model: onnx.ModelProto, rng: Random) -> None:
    """Let every function call the one before, once or several times."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    calls, depth = rng.choice((1, 2, 3)), rng.choice((2, 8, 16, 24, 40, 500))
    for level in range(depth):
        name, domain = (f"f{level - 1}", "own") if level else ("Relu", "")
        nodes = [helper.make_node(name, ["a"], [f"t{call}"], domain=domain) for call in range(calls)]
        nodes.append(helper.make_node("Sum", [node.output[0] for node in nodes], ["b"]))
        model.functions.append(helper.make_function("own", f"f{level}", ["a"], ["b"], nodes, opsets))
    model.graph.node[1].CopyFrom(helper.make_node(f"f{depth - 1}", ["c"], ["y"], domain="own"))


def _long_chain(model: onnx.ModelProto, rng: Random) -> None:
    count = rng.choice((2000, 20000))
    operator = rng.choice(("Identity", "Relu", "Transpose", "Neg", "Dropout", "Own"))
    nodes = [helper.make_node(operator, [f"t{i}"], [f"t{i + 1}"]) for i in range(count)]
    nodes[0].input[0], nodes[-1].output[0] = "c", "y"
    if rng.random() < 0.3:
        rng.shuffle(nodes)
    del model.graph.node[1]
    model.graph.node.extend(nodes)


def _doubled(model: onnx.ModelProto, rng: Random) -> None:
    """Concatenate a tensor, maybe a constant one, with itself, and so on."""
    count = rng.choice((10, 20, 32, 40))
    nodes = [helper.make_node("Concat", [f"t{i}", f"t{i}"], [f"t{i + 1}"], axis=0) for i in range(count)]
    nodes[0].input[:] = [rng.choice(("b", "c", "x"))] * 2
    del model.graph.node[1]
    model.graph.node.extend([*nodes, helper.make_node("ReduceMax", [f"t{count}"], ["y"])])


def _many_values(model: onnx.ModelProto, rng: Random) -> None:
    count = rng.choice((1000, 30_000, 100_000))
    values = [helper.make_tensor_value_info(f"v{index}", TensorProto.FLOAT, [1]) for index in range(count)]
    match rng.choice(("inputs", "outputs", "initializers", "operands", "types")):
        case "inputs":
            model.graph.input.extend(values)
        case "outputs":
            model.graph.node.extend(helper.make_node("Neg", ["x"], [value.name]) for value in values)
            model.graph.output.extend(helper.make_tensor_value_info(value.name, 1, None) for value in values)
        case "initializers":
            model.graph.initializer.extend(helper.make_tensor(value.name, 1, [1], [1.0]) for value in values)
        case "operands":
            model.graph.node[1].CopyFrom(helper.make_node("Sum", ["c"] * count, ["y"]))
        case _:
            model.graph.value_info.extend(values)


def _names(model: onnx.ModelProto, rng: Random) -> None:
    name = rng.choice(
        ("n" * 1_000_000, "\x1b]0;title\x07", "a\nb", "\0", " ", "../../x", "\u202ex", "%s%n", "{}", "\ud7ff")
    )
    node = model.graph.node[0]
    for one in rng.sample(("node", "tensor", "input", "graph", "output", "weight", "operator", "domain"), 2):
        match one:
            case "node":
                node.name = name
            case "tensor":
                node.output[0] = model.graph.node[1].input[0] = name + "t"
            case "input":
                model.graph.input[0].name = node.input[0] = name + "i"
            case "output":
                model.graph.output[0].name = model.graph.node[1].output[0] = name + "o"
            case "weight":
                model.graph.initializer[0].name = node.input[1] = name + "w"
            case "operator":
                model.graph.node[1].op_type = name
            case "domain":
                model.graph.node[1].domain = name
            case _:
                model.graph.name = name


def _texts(model: onnx.ModelProto, rng: Random) -> None:
    """Add long or odd metadata, documentation and attributes."""
    text = rng.choice(("x", "\x1b[2J", "[" * 100_000, '{"a":' * 5000, "\u202e")) * rng.choice((1, 100))
    for key in rng.sample(("names", "fastscnn_opt.palette", "fastscnn_opt.preprocess", "author", "", "\0\n"), 3):
        model.metadata_props.add(key=key, value=text)
    if rng.random() < 0.2:
        model.metadata_props.add(key=key, value="again")
    model.doc_string = model.graph.doc_string = model.producer_name = model.domain = text
    model.graph.node[0].attribute.append(helper.make_attribute("auto_pad", text))


def _hundred_megabytes(model: onnx.ModelProto, rng: Random) -> None:
    text = "x" * (100 << 20)
    match rng.randrange(3):
        case 0:
            model.metadata_props.add(key="names", value=text)
        case 1:
            model.graph.node[0].attribute.append(helper.make_attribute("own", text))
        case _:
            model.graph.doc_string = text


def _versions(model: onnx.ModelProto, rng: Random) -> None:
    version = rng.choice((0, -1, 1, 2**31, 2**62, 99))
    match rng.randrange(4):
        case 0:
            model.ir_version = version
        case 1:
            model.opset_import[0].version = version
        case 2:
            model.opset_import.add(domain=rng.choice(("", "ai.onnx", "own", "com.microsoft")), version=version)
        case _:
            del model.opset_import[:]
    model.model_version = -(2**63)


def _external(model: onnx.ModelProto, rng: Random) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    location = rng.choice(
        (DATA_FILE,) * 5 + ("", ".", "/dev/zero", "../x", "none.bin", "net.onnx", f"./{DATA_FILE}", "a\0b")
    )
    sizes = ("0", "-1", "48", "49", "4048", "4049", "4611686018427387904", "x", "", "9" * 5000, "1e3", " 48", "\u0664")
    entries = {"location": location, "offset": rng.choice(sizes), "length": rng.choice(("48", *sizes))}
    for key in rng.sample([*entries], rng.choice((1, 2, 3, 3, 3))):
        tensor.external_data.add(key=key, value=entries[key])
    tensor.external_data.add(key=rng.choice(("checksum", "location", "basepath", "own")), value=rng.choice(("/", "x")))
    if rng.random() < 0.3:
        tensor.raw_data = b"1" * rng.choice((4, 48))
    if rng.random() < 0.3:
        tensor.dims[:] = rng.choice(([2**40, 1], [0], [-1, 3, 1, 1], [12]))


def _sparse(model: onnx.ModelProto, rng: Random) -> None:
    sparse = model.graph.sparse_initializer.add() if rng.random() < 0.5 else None
    if sparse is None:
        node = helper.make_node("Constant", [], [rng.choice(("s", "w"))])
        node.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR)
        model.graph.node.insert(0, node)
        sparse = node.attribute[0].sparse_tensor
    values = np.ones(rng.choice((1, 2, 0)), np.float32)
    indices = np.array(rng.choice(([0, 5], [0, 99], [-3, 1], [[0, 1], [2, 2]], [])), np.int64)
    sparse.values.CopyFrom(numpy_helper.from_array(values, rng.choice(("s", "w", ""))))
    sparse.indices.CopyFrom(numpy_helper.from_array(indices, "i"))
    sparse.dims.extend(rng.choice(([4, 3, 1, 1], [2**31, 2**31], [4], [], [-1, 4])))
    model.graph.node[-1].CopyFrom(helper.make_node("Add", ["c", "s"], ["y"]))


def _stored(model: onnx.ModelProto, rng: Random) -> None:
    """Let a weight contradict its own size or type, or hold its values twice."""
    tensor = rng.choice(model.graph.initializer)
    match rng.randrange(6):
        case 0:
            tensor.raw_data = b"x" * rng.choice((0, 1, 47, 49, 48, 16))
        case 1:
            tensor.float_data.extend([1.0] * rng.choice((1, 12)))
        case 2:
            tensor.int64_data.append(1)
            tensor.string_data.append(b"\xff")
        case 3:
            tensor.dims[:] = rng.choice(([], [0], [-4], [2**62, 2], [12], [4] + [1] * 60, [2**31, 2**31, 0]))
        case 4:
            tensor.data_type = rng.choice((0, -1, 2, 8, 9, 10, 14, 17, 22, 23, 99, 2**31 - 1))
        case _:
            tensor.segment.end = 1


def _annotations(model: onnx.ModelProto, rng: Random) -> None:
    """Annotate tensors, or devices and functions, that there are not."""
    note = model.graph.quantization_annotation.add(tensor_name=rng.choice(("missing", "c", "x", "", "w")))
    for key in rng.sample(("SCALE_TENSOR", "ZERO_POINT_TENSOR", "own", ""), 2):
        note.quant_parameter_tensor_names.add(key=key, value=rng.choice(("missing", "w", "x", "c", "")))
    model.graph.quantization_annotation.append(note)
    training = model.training_info.add()
    training.algorithm.CopyFrom(model.graph)
    training.initialization_binding.add(key="missing", value="w")


def _attributes(model: onnx.ModelProto, rng: Random) -> None:
    """Give an attribute another type, several values, a large list, or none."""
    body = onnx.GraphProto.FromString(model.graph.SerializeToString())
    attribute = model.graph.node[0].attribute.add(name=rng.choice(("pads", "group", "strides", "kernel_shape", "own")))
    attribute.type = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14))
    for field in rng.sample(
        ("ints", "i", "s", "t", "g", "floats", "tp", "graphs", "ref_attr_name"), rng.choice((0, 1, 3))
    ):
        match field:
            case "ints" | "floats":
                getattr(attribute, field).extend([1] * rng.choice((0, 2, 4, 1_000_000)))
            case "i":
                attribute.i = rng.choice((0, -1, 2**62))
            case "s":
                attribute.s = rng.choice((b"", b"\xff\xfe", b"x" * 1_000_000))
            case "ref_attr_name":
                attribute.ref_attr_name = "own"
            case "graphs":
                attribute.graphs.append(body)
            case _:
                getattr(attribute, field).SetInParent()
    if rng.random() < 0.2:
        model.graph.node[0].attribute.append(attribute)


def _types(model: onnx.ModelProto, rng: Random) -> None:
    """Break the types of values: none, of another kind, with odd dimensions, in each other."""
    value = rng.choice((model.graph.input[0], model.graph.output[0], model.graph.value_info.add(name=rng.choice("cx"))))
    match rng.randrange(5):
        case 0:
            value.ClearField("type")
        case 1:
            value.type.Clear()
            value.type.SetInParent()
        case 2:
            value.type.tensor_type.elem_type = rng.choice((0, -1, 8, 14, 23, 2**31 - 1))
        case 3:
            kind = value.type
            for _ in range(rng.choice((1, 30, 90))):
                kind = kind.sequence_type.elem_type if rng.random() < 0.5 else kind.optional_type.elem_type
            kind.tensor_type.elem_type = 1
        case _:
            del value.type.tensor_type.shape.dim[:]
            for size in rng.choice(((-1, 3), (2**62, 2**62), (0, 0, 0, 0), (1,) * 100, (1,) * 10_000)):
                value.type.tensor_type.shape.dim.add(dim_value=size)
            value.type.tensor_type.shape.dim.add(
                dim_param=rng.choice(("", "N", "x" * 1_000_000, "\x1b[31m", "2", "-1", "N*2"))
            )


def _bytes(model: onnx.ModelProto, rng: Random) -> bytes:
    """Damage the file rather than the model."""
    whole: bytes = model.SerializeToString()
    place = rng.randrange(len(whole))
    return rng.choice((
        b"", b"\0", whole[:place], whole + whole, whole + b"garbage", b"\x1f\x8b" + whole, b"PK\x03\x04" + whole,
        b"\xef\xbb\xbf" + whole, whole.hex().encode(), b"\x0a" * 1000, b"\x3b" * 100_000, b"\x3a\x00" * 100_000,
        whole[:place] + b"\xff" * 20 + whole[place:], whole[:place] + bytes([whole[place] ^ 0x80]) + whole[place + 1 :],
        whole + b"\xfa\x07\x03abc", whole + b"\xf8\xff\xff\xff\x0f\x01", b"\x3a\xff\xff\xff\xff\x07" + whole,
        whole.replace(b"Conv", b"\xff\xfe\xfd\xfc"), whole.replace(b"conv", b"\xc0\x80ab"),
        b"\x42\x00" * 50_000 + whole,
    ))  # fmt: skip


_CHANGES: dict[str, Callable[[onnx.ModelProto, Random], bytes | None]] = {
    function.__name__[1:].replace("_", " "): function
    for function in (
        _nested_branches, _nested_functions, _long_chain, _doubled, _many_values, _names, _texts, _hundred_megabytes,
        _versions, _external, _sparse, _stored, _annotations, _attributes, _types, _bytes,
    )
}  # fmt: skip

KINDS = (*_TEXTS, *_CHANGES)
