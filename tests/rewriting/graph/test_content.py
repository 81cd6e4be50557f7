"""What survives when a pass hands the model of its graph to a library and takes a model back."""

import onnx
import pytest
from graphs import parse, random_input
from onnx import AttributeProto, helper, numpy_helper

from fastscnn_opt.rewriting.graph.content import model_of, replace_content
from fastscnn_opt.rewriting.graph.importing import import_model
from fastscnn_opt.rewriting.manager import PassManager

BODIES = """
    g (float[N,3,8,8] image) => (float[N,4,8,8] y) <int64 zero = {0}> {
        [conv] c = Conv(image, w)
        [same] i = Identity(c)
        [act] r = Relu(i)
        s = Size(r)
        [some] b = Greater(s, zero)
        [choose] y = If(b) <then_branch = t () => (float[N,4,8,8] p) { [exp] p = Exp(r) },
                            else_branch = e () => (float[N,4,8,8] q) { [neg] q = Neg(r) }>
    }
"""


def note(message, text: str) -> None:
    message.doc_string = f"about {text}"
    message.metadata_props.add(key="from", value=text)


def noted(message) -> tuple[str, list[str]]:
    return message.doc_string, [entry.value for entry in message.metadata_props]


@pytest.fixture
def documented() -> onnx.ModelProto:
    """A model in which everything that can have documentation and metadata has them."""
    model = parse(BODIES, 17, w=random_input(4, 3, 1, 1))
    model = onnx.shape_inference.infer_shapes(model)
    graph = model.graph
    bodies = [attribute.g for attribute in graph.node[-1].attribute]
    nodes = [*graph.node, *(node for body in bodies for node in body.node)]
    for part in (*nodes, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        note(part, part.name)
    note(graph, "graph")
    for info, kinds in ((graph.input[0], ("DATA_BATCH", "DATA_CHANNEL", "HEIGHT", "WIDTH")), (graph.output[0], ())):
        info.type.denotation = "IMAGE"
        for dim, kind in zip(info.type.tensor_type.shape.dim, kinds, strict=False):
            dim.denotation = kind
    return model


@pytest.mark.parametrize(
    "passes",
    [
        "simplify",
        "remove-noops",
        "static-shape{shape=2x3x8x8}",
        "fp16-output",
        "uint8-input",
        "fp16",
        "fp16{keep_io=none}",
    ],
)
def test_what_a_pass_leaves_keeps_what_is_said_of_it(documented, passes):
    after = PassManager(passes).run(documented).model.graph
    before = documented.graph
    for field in ("node", "input", "output", "value_info", "initializer"):
        known = {part.name: noted(part) for part in getattr(before, field)}
        lost = [part.name for part in getattr(after, field) if part.name in known and noted(part) != known[part.name]]
        assert not lost
    assert {"conv", "act", "choose"} <= {node.name for node in after.node}
    bodies = [attribute.g for attribute in after.node[-1].attribute if attribute.HasField("g")]
    assert not bodies or [noted(node)[0] for body in bodies for node in body.node][-1] in ("about exp", "about neg")
    assert (after.input[0].type.denotation, after.output[0].type.denotation) == ("IMAGE", "IMAGE")
    assert noted(after) == noted(before)


def test_dimensions_keep_their_denotation_unless_they_move(documented):
    def denotations(passes: str) -> list[str]:
        (image,) = PassManager(passes).run(documented).model.graph.input
        return [dim.denotation for dim in image.type.tensor_type.shape.dim]

    kinds = ["DATA_BATCH", "DATA_CHANNEL", "HEIGHT", "WIDTH"]
    assert denotations("static-shape{shape=2x3x8x8}") == denotations("fp16{keep_io=none}") == kinds
    assert denotations("uint8-input")[1] != "DATA_CHANNEL"


def attributes() -> list[AttributeProto]:
    """Return an attribute of every kind, and the kinds of list empty, too."""
    tensor = numpy_helper.from_array(random_input(2), "t")
    sparse = helper.make_sparse_tensor(tensor, helper.make_tensor("i", onnx.TensorProto.INT64, [2], [0, 3]), [5])
    kind = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [1])
    values = [1, 0.5, "s", [1, 2], [0.5], ["a"], tensor, [tensor], sparse, [sparse], kind, [kind], b"\xff", [b"\xff"]]
    made = [helper.make_attribute(f"a{index}", value) for index, value in enumerate(values)]
    lists = ("INTS", "FLOATS", "STRINGS", "TENSORS", "SPARSE_TENSORS", "TYPE_PROTOS")
    return made + [AttributeProto(name=name, type=AttributeProto.AttributeType.Value(name)) for name in lists]


def test_attributes_of_every_kind_come_back():
    model = parse("g (float[2] x) => (float[2] y) { [odd] a = vendor.Odd(x) y = Relu(a) }")
    model.graph.node[0].attribute.extend(attributes())
    graph, _ = import_model(model, {})
    graph.nodes[0].attrs["more"] = 1  # so that the node is written anew
    (node, _) = model_of(graph).graph.node
    assert [*node.attribute][:-1] == attributes()


@pytest.mark.parametrize("attribute", attributes(), ids=lambda one: AttributeProto.AttributeType.Name(one.type))
def test_attributes_of_every_kind_survive_the_simplifier(attribute):
    model = parse("g (float[2] x) => (float[2] y) { i = Identity(x) a = vendor.Odd(i) y = Relu(a) }")
    model.graph.node[1].attribute.append(attribute)
    odd, _ = PassManager("simplify", verify=False).run(model).model.graph.node
    assert [*odd.attribute] == [attribute]


def test_sequences_and_optionals_stay_what_they_are():
    text = """g (optional(float[2]) x, float[2] z) => (float[2] y, seq(float[2]) s) {
        a = OptionalGetElement(x) i = Identity(a) b = Relu(i) y = Add(b, z) s = SequenceConstruct(y, b) }"""
    model = parse(text, 18)
    after = PassManager("simplify", verify=False).run(model).model.graph
    assert [*after.input, *after.output] == [*model.graph.input, *model.graph.output]


def test_a_model_taken_in_is_changed_by_the_next_pass():
    model = parse("g (float[2] x) => (float[2] y) { [one] a = Relu(x) [two] y = Abs(a) }")
    other = parse("g (float[2] x) => (float[2] y) { [three] a = Sin(x) [four] y = Cos(a) }")
    note(other.graph.node[1], "cosine")
    graph, _ = import_model(model, {})
    replace_content(graph, other)
    graph.nodes[0].op = "Exp"
    after = model_of(graph).graph
    assert [node.op_type for node in after.node] == ["Exp", "Cos"]
    assert noted(after.node[1]) == noted(other.graph.node[1])


def test_functions_and_annotations_survive_the_simplifier():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[2] x) => (float[2] y) <float step = {0.5}> { i = Identity(x) y = own.act(i) }
        <domain: "own", opset_import: ["" : 17]> act (q) => (r) { [inner] t = Relu(q) r = Identity(t) }""")
    for part in (model.functions[0], model.functions[0].node[0]):
        note(part, "function")
    note_of = model.graph.quantization_annotation.add(tensor_name="y")
    note_of.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="step")
    after = PassManager("simplify").run(model).model
    assert [node.op_type for node in after.graph.node] == ["act"]
    assert [*after.functions] == [*model.functions]
    assert [*after.graph.quantization_annotation] == [note_of]
    assert [tensor.name for tensor in after.graph.initializer] == ["step"]
