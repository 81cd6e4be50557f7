"""remove-noops: nodes that change nothing are removed, all others stay."""

import numpy as np
import onnx
import pytest
from graphs import add_initializers, operators, parse, random_input, run

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


ROW_CONSTANTS = {
    "flat": np.array([1, -1]),
    "wide": np.array([1, 4, 64]),
    "copied": np.array([0, -1]),
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "three": np.array([3]),
    "minus": np.array([-1]),
    "minus_two": np.array([-2]),
    "minus_nine": np.array([-9]),
    "seven": np.array([7]),
    "units": np.ones((4, 1, 1), np.float32),
    "single": np.array(1, np.float32),
    "broad": np.ones((3, 1, 1, 1), np.float32),
    "near": np.array([1.0, 1.1], np.float32),
}


def row(nodes: str, output: str = "float[a] y", x: str = "float[1,4,8,8] x", more: str = "") -> onnx.ModelProto:
    """Put nodes that lead from `a` to `b` between two Relu; `more` reads what it likes as further outputs."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g ({x}) => ({output}) {{ a = Relu(x) {nodes} y = Relu(b) {more} }}'
    )
    used = {name for node in model.graph.node for name in node.input}
    return add_initializers(model, **{name: value for name, value in ROW_CONSTANTS.items() if name in used})


@pytest.mark.parametrize(
    ("nodes", "rank", "left"),
    [
        ("c = Transpose<perm=[0,2,3,1]>(a) b = Transpose<perm=[0,2,3,1]>(c)", 4, ["Transpose"]),
        ("c = Transpose<perm=[0,2,3,1]>(a) b = Transpose<perm=[0,3,1,2]>(c)", 4, []),
        ("c = Transpose(a) b = Transpose(c)", 4, []),
        ("c = Transpose(a) d = Transpose<perm=[1,0,3,2]>(c) b = Transpose<perm=[1,0,2,3]>(d)", 4, ["Transpose"]),
        ("c = Reshape(a, wide) b = Reshape(c, flat)", 2, ["Reshape"]),
        ("c = Reshape(a, wide) d = Reshape(c, copied) b = Neg(d)", 2, ["Reshape", "Neg"]),
        ("c = Flatten(a) d = Unsqueeze(c, one) b = Neg(d)", 3, ["Reshape", "Neg"]),
        ("c = Unsqueeze(a, two) d = Squeeze(c, two) b = Neg(d)", 4, ["Neg"]),
        ("c = Unsqueeze(a, zero) d = Unsqueeze(c, minus) b = Neg(d)", 6, ["Reshape", "Neg"]),
        ("c = Transpose<perm=[1,2,0,3]>(a) d = Flatten<axis=2>(c) b = Neg(d)", 2, ["Reshape", "Neg"]),
        ("c = Reshape(a, wide) d = Transpose<perm=[1,0,2]>(c) b = Neg(d)", 3, ["Reshape", "Neg"]),
        ("c = Reshape(a, wide) d = Transpose<perm=[0,2,1]>(c) b = Neg(d)", 3, ["Reshape", "Transpose", "Neg"]),
        ("c = Transpose<perm=[2,1,0,3]>(a) d = Flatten(c) b = Neg(d)", 2, ["Transpose", "Flatten", "Neg"]),
        ("c = Cast<to=11>(a) b = Cast<to=1>(c)", 4, []),
        ("i = Shape(a) c = Cast<to=9>(i) d = Cast<to=6>(c) b = Cast<to=1>(d)", 1, ["Shape", "Cast", "Cast"]),
        ("c = Slice(a, one, three, two) b = Slice(c, zero, three, three)", 4, ["Slice"]),
        ("c = Slice(a, one, seven, two) b = Slice(c, one, three, minus_two)", 4, ["Slice"]),
        ("c = Slice(a, minus, minus_nine, two, minus_two) b = Slice(c, minus, minus_nine, two, minus)", 4, ["Slice"]),
        ("c = Slice(a, minus, minus_nine, two, minus) b = Slice(c, zero, three, two)", 4, ["Slice"]),
        ("c = Concat<axis=1>(a, a) d = Concat<axis=-3>(a, c) b = Concat<axis=1>(d, x)", 4, ["Concat"]),
        ("b = Split<axis=1, num_outputs=1>(a)", 4, []),
        ("b = Mul(a, units)", 4, []),
        ("b = Div(a, single)", 4, []),
        ("b = Pow(a, single)", 4, []),
    ],
)
def test_two_nodes_in_a_row_become_one_or_none(rewrite, nodes, rank, left):
    model = row(nodes, f"float[{','.join('abcdef'[:rank])}] y")
    result = rewrite(model, "remove-noops")
    assert operators(result.model) == ["Relu", *left, "Relu"]
    x = random_input(1, 4, 8, 8)
    np.testing.assert_array_equal(run(result.model, x)[0], run(model, x)[0])


@pytest.mark.parametrize(
    "nodes",
    [
        "c = Cast<to=10>(a) b = Cast<to=1>(c)",
        "c = Cast<to=7>(a) b = Cast<to=1>(c)",
        "c = Concat<axis=1>(a, a) b = Concat<axis=0>(c, c)",
        "c = Concat<axis=1>(a, a) b = Concat<axis=1>(c, c)",
        "c = Slice(a, one, three, two) n = Neg(one) b = Slice(c, n, seven, two)",
        "c = Transpose<perm=[0,2,3,1]>(a) d = Neg(c) b = Transpose<perm=[0,3,1,2]>(d)",
        "c = Reshape(a, wide) d = Neg(c) b = Reshape(d, flat)",
        "b = Mul(a, broad)",
        "c = Slice(a, zero, two, minus) b = Mul(c, near)",
    ],
)
def test_nodes_in_a_row_that_one_node_cannot_do_stay(nodes):
    model = row(nodes, "float[a,b] y" if "flat" in nodes else "float[a,b,c,d] y")
    (step,) = PassManager("remove-noops").run(model).steps
    assert step.changes == []


@pytest.mark.parametrize("more", ["z = Neg(c)", "z = Identity(c)"])
def test_a_first_node_that_something_else_reads_stays(rewrite, more):
    nodes = "c = Transpose<perm=[0,2,3,1]>(a) b = Transpose<perm=[0,2,3,1]>(c)"
    model = row(nodes, "float[a,b,c,d] y, float[e,f,g,h] z", more=more)
    assert operators(rewrite(model, "remove-noops").model).count("Transpose") == 2


def test_a_first_node_that_a_body_reads_stays(rewrite):
    branch = "b{0} () => (float[e{0},f{0},g{0},h{0}] u{0}) {{ u{0} = Neg(c) }}"
    branches = f"then_branch = {branch.format(1)}, else_branch = {branch.format(2)}"
    nodes = "c = Transpose<perm=[0,2,3,1]>(a) b = Transpose<perm=[0,2,3,1]>(c)"
    model = row(nodes, "float[a,b,c,d] y, float[m,n,o,p] z", "float[1,4,8,8] x, bool q", f"z = If (q) <{branches}>")
    assert operators(rewrite(model, "remove-noops").model).count("Transpose") == 2


def test_a_row_that_ends_in_an_output_keeps_its_name(rewrite):
    model = parse(
        "g (float[2,3,4] x) => (float[a,b,c] y) { r = Transpose<perm=[1,0,2]>(x) y = Transpose<perm=[1,2,0]>(r) }"
    )
    result = rewrite(model, "remove-noops").model
    assert [(node.op_type, node.output[0]) for node in result.graph.node] == [("Transpose", "y")]
    x = random_input(2, 3, 4)
    np.testing.assert_array_equal(run(result, x)[0], x.transpose(1, 0, 2).transpose(1, 2, 0))


def test_a_shape_with_one_open_size_is_kept_open(rewrite):
    model = row("c = Unsqueeze(a, one) d = Squeeze(c, one) b = Neg(d)", "float[n,4] y", "float[n,4] x")
    assert operators(rewrite(model, "remove-noops").model) == ["Relu", "Neg", "Relu"]
    model = row("c = Flatten<axis=0>(a) d = Unsqueeze(c, two) b = Neg(d)", "float[1,m,1] y", "float[n,4] x")
    result = rewrite(model, "remove-noops").model
    assert operators(result) == ["Relu", "Reshape", "Neg", "Relu"]
    assert run(result, random_input(3, 4))[0].shape == (1, 12, 1)


def test_another_domain_s_transpose_stays():
    nodes = "c = vendor.Transpose<perm=[0,2,3,1]>(a) b = Transpose<perm=[0,3,1,2]>(c)"
    model = parse(f"g (float[1,2,3,4] x) => (float[a,b,c,d] y) {{ a = Relu(x) {nodes} y = Relu(b) }}")
    assert PassManager("remove-noops", verify=False).run(model).steps[0].changes == []


def test_what_an_output_states_is_known_in_front_of_a_needless_node(rewrite):
    model = parse("""
        g (float[2,3] x) => (float[2,3] y, float[2,3] z) {
            s = Shape(x) a = Neg(x) b = Reshape(a, s) c = Identity(b) y = Dropout(c) z = Relu(b)
        }
    """)
    assert operators(rewrite(model, "remove-noops").model) == ["Neg", "Relu"]


def test_a_constant_node_in_front_of_a_reshape_stays():
    nodes = "k = Constant<value_floats = [1.0, 2.0]>() s = Shape(x) c = Reshape(k, s) y = Add(x, c)"
    result = PassManager("remove-noops").run(parse(f"g (float[2,1] x) => (float[2,1] y) {{ {nodes} }}"))
    assert operators(result.model) == ["Constant", "Shape", "Reshape", "Add"]


def test_what_was_removed_reads_nothing_any_more(rewrite):
    there_and_back = "k = Unsqueeze(a, axis) t = Transpose(k) u = Transpose(t) b = Squeeze(u, axis)"
    model = graph(there_and_back)
    result = rewrite(model, "remove-noops").model
    assert operators(result) == ["Relu", "Relu"]
    x = random_input(1, 4, 8, 8)
    np.testing.assert_array_equal(run(result, x)[0], np.maximum(x, 0))


def test_a_node_that_no_output_needs_is_no_second_reader(rewrite):
    model = graph("c = Slice(a, first, last, axis, step) d = Sin(c) b = Slice(c, first, last, axis, step)")
    assert operators(rewrite(model, "remove-noops").model) == ["Relu", "Relu"]


def test_a_node_is_joined_once_a_needless_reader_is_gone(rewrite):
    model = graph(
        "c = Transpose<perm=[0,1,3,2]>(a) s = Shape(c) d = Transpose<perm=[0,1,3,2]>(c) e = Expand(d, s) b = Sin(e)"
    )
    result = rewrite(model, "remove-noops").model
    assert operators(result) == ["Relu", "Sin", "Relu"]
    x = random_input(1, 4, 8, 8)
    np.testing.assert_allclose(run(result, x)[0], np.maximum(np.sin(np.maximum(x, 0)), 0), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("order", ["[2,0,3]", "[0,0,1]", "[0,2,3,1]", "[1,0]"])
def test_an_order_that_does_not_fit_the_axes_is_left(order):
    model = parse(f"g (float[2,3,4] x) => (y) {{ a = Reshape(x, s) b = Transpose<perm={order}>(a) y = Squeeze(b) }}",
                  s=np.array([2, 3, 4]))  # fmt: skip
    assert "Transpose" in operators(PassManager("remove-noops", verify=False).run(model).model)


def test_a_shape_that_only_an_output_states_is_not_written():
    nodes = "a = Flatten(x) s = Shape(x) b = Reshape(a, s) y = Identity(b)"
    model = parse(f"g (float[N,M] x) => (float[3,5] y) {{ {nodes} }}")
    result = PassManager("remove-noops", verify=False).run(model).model
    np.testing.assert_array_equal(run(result, random_input(2, 7))[0], random_input(2, 7))
