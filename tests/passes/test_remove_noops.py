"""remove-noops: nodes that change nothing are removed, all others stay."""

import numpy as np
import onnx
import pytest
from graphs import operators, parse, random_input, run

from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager

TAIL = """
    <float zero = {0}, bool yes = {1}, bool no = {0}, float half = {0.5}, float[4] ones = {1, 1, 1, 1},
     float[4] near = {1, 1, 1, 1.1}, int64[8] none = {0, 0, 0, 0, 0, 0, 0, 0}, int64[8] some = {0, 0, 0, 0, 0, 0, 0, 1},
     int64[4] same = {1, 4, 8, 8}, int64[4] other = {1, 8, 4, 8}, int64[1] first = {0}, int64[1] last = {8},
     int64[1] axis = {2}, int64[1] back = {-1}, int64[1] end = {-1}, int64[1] start = {-9}, int64[1] step = {1}>
"""


def graph(nodes: str, outputs: str = "float[1,4,8,8] y", opset: int = 18) -> onnx.ModelProto:
    """Put nodes that lead from `a` to `b` between two Relu."""
    body = f"g (float[1,4,8,8] x) => ({outputs}) {TAIL} {{ a = Relu(x) {nodes} [behind] y = Relu(b) }}"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {body}')
    used = {name for node in model.graph.node for name in node.input}
    kept = [init for init in model.graph.initializer if init.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


@pytest.mark.parametrize(
    ("node", "opset"),
    [
        ("Identity(a)", 18),
        ("Concat<axis=1>(a)", 18),
        ("Sum(a)", 18),
        ("Max(a)", 18),
        ("Dropout(a)", 18),
        ("Dropout(a, half)", 18),
        ("Dropout(a, half, no)", 18),
        ("Dropout<ratio=0.5>(a)", 11),
        ("Cast<to=1>(a)", 18),
        ("CastLike(a, x)", 18),
        ("Transpose<perm=[0,1,2,3]>(a)", 18),
        ("Pad(a, none)", 18),
        ("Pad<pads=[0,0,0,0,0,0,0,0]>(a)", 10),
        ("Reshape(a, same)", 18),
        ("Expand(a, same)", 18),
        ("Slice(a, first, last, axis)", 18),
        ("Slice<starts=[0], ends=[8], axes=[2]>(a)", 9),
        ('Resize<mode="linear", coordinate_transformation_mode="align_corners">(a, , , same)', 18),
        ('Resize<mode="cubic">(a, , ones)', 18),
        ("Resize(a, ones)", 10),
    ],
)
def test_a_node_that_changes_nothing_is_removed(rewrite, node, opset):
    result = rewrite(graph(f"[needless] b = {node}", opset=opset), "remove-noops")
    assert operators(result.model) == ["Relu", "Relu"]
    assert [change.node for change in result.steps[0].changes] == ["needless"]
    assert result.steps[0].contract is Contract.EXACT
    x = random_input(1, 4, 8, 8)
    np.testing.assert_array_equal(run(result.model, x)[0], np.maximum(x, 0))


@pytest.mark.parametrize(
    "nodes",
    [
        "b = Neg(a)",
        "b = Concat<axis=0>(a, a)",
        "b = Sum(a, a)",
        "h = Cast<to=10>(a) b = Cast<to=1>(h)",
        "b = Transpose<perm=[0,1,3,2]>(a)",
        "b = Transpose(a)",
        "b = Pad(a, some)",
        "b = Reshape(a, other)",
        "b = Slice(a, end, start, axis, back)",
        "b = Slice(a, step, last, axis)",
        'b = Resize<coordinate_transformation_mode="tf_half_pixel_for_nn">(a, , ones)',
        'b = Resize<mode="linear", coordinate_transformation_mode="asymmetric">(a, , near)',
    ],
)
def test_a_node_that_changes_something_stays(rewrite, nodes):
    model = graph(nodes, outputs="float[a,b,c,d] y")
    result = rewrite(model, "remove-noops")
    assert operators(result.model) == operators(model)
    assert result.steps[0].skips == []


MASK_READ = "another node or an output reads its mask"


@pytest.mark.parametrize(
    ("nodes", "outputs", "why"),
    [
        ("[drop] b = Dropout(a, half, yes)", "float[1,4,8,8] y", "is in training mode, or may be"),
        ("mode = IsInf(zero) [drop] b = Dropout(a, half, mode)", "float[1,4,8,8] y", "is in training mode, or may be"),
        (
            "[drop] b, m = Dropout(a) z = Not(m)",
            "float[1,4,8,8] y, bool[1,4,8,8] z",
            MASK_READ,
        ),
        ("[drop] b, m = Dropout(a)", "float[1,4,8,8] y, bool[1,4,8,8] m", MASK_READ),
    ],
)
def test_dropout_that_matters_stays_with_the_reason(nodes, outputs, why):
    (step,) = PassManager("remove-noops", verify=False).run(graph(nodes, outputs)).steps
    assert step.changes == []
    assert [(skip.node, skip.why) for skip in step.skips] == [("drop", why)]


def test_a_mask_that_nothing_reads_goes_with_its_dropout(rewrite):
    assert operators(rewrite(graph("b, m = Dropout(a)"), "remove-noops").model) == ["Relu", "Relu"]


def test_needless_nodes_in_a_row_all_go(rewrite):
    nodes = "c = Identity(a) d = Pad(c, none) b = Dropout(d)"
    assert operators(rewrite(graph(nodes), "remove-noops").model) == ["Relu", "Relu"]


def test_a_graph_output_keeps_its_name(rewrite):
    model = parse("g (float[4] x) => (float[4] y, float[4] z) { r = Relu(x) y = Identity(r) z = Neg(r) }")
    result = rewrite(model, "remove-noops").model
    assert operators(result) == ["Relu", "Neg"]
    assert [output.name for output in result.graph.output] == ["y", "z"]


@pytest.mark.parametrize(
    "body",
    [
        "g (float[4] x) => (float[4] y) { [same] y = Identity(x) }",
        "g (float[4] x) => (float[4] y, float[4] z) { y = Relu(x) [same] z = Identity(y) }",
        "g (float[4] x) => (float[4] y) <float[4] c = {1, 2, 3, 4}> { r = Relu(x) [same] y = Identity(c) }",
    ],
)
def test_a_node_between_two_names_of_the_interface_stays(body):
    (step,) = PassManager("remove-noops").run(parse(body)).steps
    assert step.changes == []
    (skip,) = step.skips
    assert (skip.node, skip.why) == (
        "same",
        "returns its input, but the tensors on both of its sides have to keep their names",
    )


def test_a_node_of_another_domain_stays():
    model = parse("g (float[4] x) => (float[4] y) { r = Relu(x) i = vendor.Identity(r) y = Neg(i) }")
    assert PassManager("remove-noops", verify=False).run(model).steps[0].changes == []


def test_a_reader_of_both_sides_reads_the_same_twice(rewrite):
    model = parse("g (float[2] x) => (float[2] y) { r = Relu(x) i = Identity(r) y = Add(r, i) }")
    result = rewrite(model, "remove-noops").model
    assert operators(result) == ["Relu", "Add"]
    np.testing.assert_array_equal(run(result, np.array([1, -2], np.float32))[0], [2, 0])
