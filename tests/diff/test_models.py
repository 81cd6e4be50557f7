"""What a diff says of whole models: interface, metadata, operator sets and local functions."""

import onnx
import pytest
from diffs import changes, edited, only, read

from fastscnn_opt import diff_models
from fastscnn_opt.rewriting.manager import PassManager


def test_a_model_is_the_same_as_itself(network):
    diff = diff_models(network, network)
    assert not diff
    assert diff.to_json()["same"] is True
    assert diff.summary() == "no difference"


def test_a_default_that_another_opset_changed_is_a_change():
    text = "g (float[2,2] x) => (float[2,2] y) { [s] y = Softmax(x) }"
    diff = diff_models(read(text, '<ir_version: 8, opset_import: ["": 12]>'), read(text))
    assert changes(diff) == [("s", "axis", 1, -1)]
    assert [(entry.name, entry.before, entry.after) for entry in diff.opsets] == [
        ("ai.onnx", 12, 13),
        ("vendor", None, 1),
    ]


def test_the_interface_is_compared_by_name_type_shape_and_source():
    before = read(
        "g (float[1,4] image) => (float[1,4] one, float[1,4] two) { [a] one = Relu(image) [b] two = Abs(image) }"
    )
    after = read("g (float[2,4] picture) => (float[2,4] one) { [a] r = Relu(picture) [n] one = Neg(r) }")
    diff = diff_models(before, after)
    assert [(entry.name, entry.field, entry.before, entry.after) for entry in diff.inputs.changed] == [
        ("image", "name", "image", "picture"),
        ("image", "shape", [1, 4], [2, 4]),
    ]
    assert [item.name for item in diff.outputs.removed] == ["two"]
    assert [(entry.name, entry.field, entry.before, entry.after) for entry in diff.outputs.changed] == [
        ("one", "shape", [1, 4], [2, 4]),
        ("one", "source", "node a", "node n"),
    ]
    assert [item.name for item in diff.nodes.added] == ["n"]
    assert [item.name for item in diff.nodes.removed] == ["b"]
    assert not diff.nodes.changed


def test_a_tensor_may_be_returned_twice():
    twice = read("g (float[4] x) => (float[4] y, float[4] y) { y = Relu(x) }")
    assert not diff_models(twice, twice)
    diff = diff_models(twice, read("g (float[4] x) => (float[4] y) { y = Relu(x) }"))
    assert [item.name for item in diff.outputs.removed] == ["y"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("seq(float[4])", "seq(float16[4])"),
        ("seq(float[4])", "seq(float[N])"),
        ("optional(float[4])", "optional(seq(float[4]))"),
        ("sparse_tensor(float[4])", "float[4]"),
        ("map(int64, float)", "map(int64, double)"),
    ],
)
def test_types_that_are_no_tensors_are_compared_to_the_core(before, after):
    one, other = (read(f"g ({kind} x) => (float[1] y) {{ y = vendor.First(x) }}") for kind in (before, after))
    assert not diff_models(one, one)
    assert {entry.field for entry in diff_models(one, other).inputs.changed} <= {"type", "shape"}
    assert diff_models(one, other).inputs.changed


@pytest.mark.parametrize("size", ["?", "N"])
def test_an_open_size_of_an_output_stays_what_it_was(size):
    model = read(f"g (float[{size},4] x) => (float[{size},4] y) {{ a = Identity(x) y = Relu(a) }}")
    if size == "?":
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].Clear()
    result = PassManager("remove-noops").run(model).model
    assert not diff_models(model, result).inputs
    assert not diff_models(model, result).outputs


def test_metadata_and_header_are_compared(network):
    other = edited(network)
    onnx.helper.set_model_props(other, {"layout": "tramac"})
    other.producer_name = "someone"
    diff = diff_models(network, other)
    assert [(entry.name, entry.before, entry.after) for entry in diff.metadata] == [
        ("producer_name", None, "someone"),
        ("layout", None, "tramac"),
    ]
    assert only(diff, "metadata")


def test_a_change_in_a_function_says_where_it_is(branching):
    other = edited(branching)
    other.functions[0].node[0].op_type = "Sub"
    assert changes(diff_models(branching, other)) == [("function local.twice > sum", "operator", "Add", "Sub")]


def test_added_and_removed_functions_are_listed(branching):
    other = edited(branching)
    other.functions[0].name = "thrice"
    other.graph.node[2].op_type = "thrice"
    diff = diff_models(branching, other)
    assert [item.name for item in diff.functions.removed] == ["local.twice"]
    assert [item.name for item in diff.functions.added] == ["local.thrice"]


def test_the_diff_of_a_pass_lists_its_changes(tiny_model):
    result = PassManager("drop-outputs,fp16-output", verify=False).run(tiny_model)
    diff = diff_models(tiny_model, result.model)
    assert [item.what for item in diff.nodes.added] == ["Cast"]
    assert [(entry.field, entry.after) for entry in diff.outputs.changed] == [
        ("type", "float16"),
        ("source", "node output1_to_float16"),
    ]
    assert not diff.nodes.changed
