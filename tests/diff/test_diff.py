"""The differences that `diff_models` finds, and those it must not: new names, another order, written defaults."""

import random
import time

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from fastscnn_opt import diff_models
from fastscnn_opt.rewriting.manager import PassManager

HEAD = '<ir_version: 10, opset_import: ["" : 13, "vendor" : 1]>'


def read(text, head=HEAD):
    return onnx.parser.parse_model(f"{head} {text}")


def edited(model, change=lambda _: None):
    """Return a copy of `model` after `change(graph)`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change(copy.graph)
    return copy


def set_attribute(node, name, value):
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def rename(model):
    """Return the model with every node, inner tensor and initializer renamed, subgraphs included."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = {value.name for value in (*model.graph.input, *model.graph.output)} | {""}

    def new(name):
        return name if name in kept else f"z{hash(name) % 10**12}"

    def visit(graph):
        for node in graph.node:
            node.name = new(f"node {node.name}{node.output[0]}")
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    attribute.t.name = new("value")
                for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                    visit(body)
        for value in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
            value.name = new(value.name)

    visit(copy.graph)
    return copy


def reorder(model, rng):
    """Return the model with its nodes in another topological order."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    waiting = list(copy.graph.node)
    known = {value.name for value in (*copy.graph.input, *copy.graph.initializer)} | {""}
    ordered = []
    while waiting:
        ready = [node for node in waiting if set(node.input) <= known]
        node = rng.choice(ready)
        waiting = [other for other in waiting if other is not node]
        known |= set(node.output)
        ordered.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del copy.graph.node[:]
    copy.graph.node.extend(ordered)
    return copy


def changes(diff):
    return [(entry.name, entry.field, entry.before, entry.after) for entry in diff.nodes.changed]


def only(diff, *groups):
    """Check that nothing but these groups is different."""
    found = {name for name in ("inputs", "outputs", "nodes", "initializers", "functions") if getattr(diff, name)}
    return found | ({"opsets"} if diff.opsets else set()) | ({"metadata"} if diff.metadata else set()) == set(groups)


@pytest.fixture
def resizes():
    """Eight bilinear Resize nodes in a row."""
    lines = [f'[up{i}] t{i + 1} = Resize<mode="linear">(t{i}, , s)' for i in range(8)]
    return read(f"""
        g (float[1,3,4,4] t0) => (float[1,3,4,4] t8) <float[4] s = {{1, 1, 1, 1}}> {{ {" ".join(lines)} }}
    """)


@pytest.fixture
def network():
    """Two branches with weights that join, a Constant, and nodes of one kind that only their place tells apart."""
    model = read("""
        g (float[1,4,8,8] image) => (float[1,4,8,8] sum, float[1,4,8,8] side)
        <float[1] half = {0.5}, float[1] twice = {2}>
        {
            [c1] a = Conv(image, w1)
            [r1] b = Relu(a)
            [c2] c = Conv(b, w2)
            [r2] d = Relu(c)
            [k] k = Constant<value = float[1] {3}>()
            [m1] e = Mul(d, k)
            [m2] f = Mul(b, half)
            [m3] h = Mul(f, twice)
            [add] sum = Add(e, h)
            [r3] side = Relu(f)
        }
    """)
    rng = np.random.default_rng(1)
    for name in ("w1", "w2"):
        weights = rng.standard_normal((4, 4, 1, 1)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def test_a_model_is_the_same_as_itself(network):
    diff = diff_models(network, network)
    assert not diff
    assert diff.to_json()["same"] is True
    assert diff.summary() == "no difference"


def test_eight_flipped_resize_nodes_are_eight_changed_attributes(resizes):
    def flip(graph):
        for node in graph.node:
            set_attribute(node, "mode", "nearest")

    diff = diff_models(resizes, edited(resizes, flip))
    assert changes(diff) == [(f"up{i}", "mode", "linear", "nearest") for i in range(8)]
    assert only(diff, "nodes")
    assert [entry.kind for entry in diff.nodes.changed] == ["attribute"] * 8


def test_eight_flipped_resize_nodes_are_found_in_a_renamed_model(resizes):
    def flip(graph):
        for node in graph.node:
            set_attribute(node, "mode", "nearest")

    diff = diff_models(resizes, rename(edited(resizes, flip)))
    assert changes(diff) == [(f"up{i}", "mode", "linear", "nearest") for i in range(8)]
    assert only(diff, "nodes")


def test_renaming_everything_at_once_is_no_change(network):
    assert not diff_models(network, rename(network))


def test_swapping_the_names_of_nodes_is_no_change(network):
    def rotate(graph):
        names = [node.name for node in graph.node]
        for node, name in zip(graph.node, [*names[1:], names[0]], strict=True):
            node.name = name

    assert not diff_models(network, edited(network, rotate))


def test_another_order_of_the_nodes_is_no_change(network):
    assert not diff_models(network, reorder(network, random.Random(3)))


def test_an_insertion_that_renumbers_all_names_is_one_added_node():
    def chain(operators):
        lines, tensor = [], "x"
        for number, operator in enumerate(operators):
            lines.append(f"[{operator}_{number}] t{number} = {operator}({tensor})")
            tensor = f"t{number}"
        return read(f"g (float[2] x) => (float[2] y) {{ {' '.join(lines)} [end] y = Identity({tensor}) }}")

    operators = ["Relu", "Abs", "Relu", "Neg", "Relu", "Abs", "Relu"]
    diff = diff_models(chain(operators), chain([*operators[:2], "Exp", *operators[2:]]))
    assert [item.what for item in diff.nodes.added] == ["Exp"]
    assert [entry.kind for entry in diff.nodes.changed] == ["input"]
    assert not diff.nodes.removed


@pytest.mark.parametrize("renamed", [False, True])
def test_an_inserted_node_is_one_added_node_and_one_changed_input(network, renamed):
    def insert(graph):
        graph.node.insert(2, onnx.helper.make_node("Identity", ["b"], ["b2"], "new"))
        next(node for node in graph.node if node.name == "c2").input[0] = "b2"

    other = edited(network, insert)
    diff = diff_models(network, rename(other) if renamed else other)
    assert [item.what for item in diff.nodes.added] == ["Identity"]
    assert not diff.nodes.removed
    (change,) = diff.nodes.changed
    assert (change.name, change.field, change.before) == ("c2", "input 0", "node r1")
    assert only(diff, "nodes")


@pytest.mark.parametrize("renamed", [False, True])
def test_a_removed_node_is_one_removed_node_and_one_changed_input(network, renamed):
    def remove(graph):
        graph.node.remove(next(node for node in graph.node if node.name == "r2"))
        next(node for node in graph.node if node.name == "m1").input[0] = "c"

    other = edited(network, remove)
    diff = diff_models(network, rename(other) if renamed else other)
    assert [item.name for item in diff.nodes.removed] == ["r2"]
    assert [(entry.name, entry.field, entry.before) for entry in diff.nodes.changed] == [("m1", "input 0", "node r2")]
    assert not diff.nodes.added


def test_a_swap_of_two_inputs_is_two_changed_inputs(network):
    def swap(graph):
        node = next(node for node in graph.node if node.name == "add")
        node.input[:] = reversed(node.input)

    assert changes(diff_models(network, edited(network, swap))) == [
        ("add", "input 0", "node m1", "node m3"),
        ("add", "input 1", "node m3", "node m1"),
    ]


def test_an_operator_replaced_under_its_name_is_a_changed_operator():
    before = read(
        "g (float[1,2,4,4] x) => (float[1,2,1,1] y) { [pool] y = vendor.AdaptiveAvgPool2d<output_size=[1,1]>(x) }"
    )
    after = read("g (float[1,2,4,4] x) => (float[1,2,1,1] y) { [pool] y = AveragePool<kernel_shape=[4,4]>(x) }")
    assert changes(diff_models(before, after)) == [
        ("pool", "operator", "vendor.AdaptiveAvgPool2d", "AveragePool"),
        ("pool", "kernel_shape", None, [4, 4]),
        ("pool", "output_size", [1, 1], None),
    ]


def test_a_default_that_is_written_out_is_noted_and_no_change():
    before = read("g (float[2,2] x) => (float[2,2] y) { [s] y = Softmax(x) }")
    after = read("g (float[2,2] x) => (float[2,2] y) { [s] y = Softmax<axis=-1>(x) }")
    diff = diff_models(before, after)
    assert not diff
    assert diff.notes == ["1 attribute is written in one model and left at the same default in the other (s: axis)"]


def test_a_default_that_another_opset_changed_is_a_change():
    text = "g (float[2,2] x) => (float[2,2] y) { [s] y = Softmax(x) }"
    diff = diff_models(read(text, '<ir_version: 8, opset_import: ["": 12]>'), read(text))
    assert changes(diff) == [("s", "axis", 1, -1)]
    assert [(entry.name, entry.before, entry.after) for entry in diff.opsets] == [
        ("ai.onnx", 12, 13),
        ("vendor", None, 1),
    ]


def test_inputs_left_out_at_the_end_are_the_same_as_empty_names():
    before = read("g (float[2] x) => (float[2] y) { [c] y = Clip(x) }")
    after = read("g (float[2] x) => (float[2] y) { [c] y = Clip(x, ,) }")
    assert not diff_models(before, after)


def test_initializers_are_compared_by_shape_type_and_largest_difference(network):
    def change(graph):
        weights = {tensor.name: tensor for tensor in graph.initializer}
        array = onnx.numpy_helper.to_array(weights["w1"]).copy()
        array[2, 1] += 0.25
        array[0, 0] -= 0.125
        weights["w1"].CopyFrom(onnx.numpy_helper.from_array(array, "w1"))
        weights["half"].CopyFrom(onnx.numpy_helper.from_array(np.array([0.5], np.float16), "half"))
        weights["twice"].CopyFrom(onnx.numpy_helper.from_array(np.array([[2]], np.float32), "twice"))

    diff = diff_models(network, edited(network, change))
    found = [(entry.name, entry.field, entry.before, entry.after) for entry in diff.initializers.changed]
    assert found == [
        ("w1", "values", "float [4, 4, 1, 1]", "float [4, 4, 1, 1]"),
        ("half", "type", "float", "float16"),
        ("twice", "shape", [1], [1, 1]),
    ]
    assert diff.initializers.changed[0].max_abs_diff == pytest.approx(0.25)
    assert only(diff, "initializers")


def test_changed_weights_are_found_in_a_renamed_model(network):
    def change(graph):
        for tensor in graph.initializer:
            array = onnx.numpy_helper.to_array(tensor) * 2
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))

    diff = diff_models(network, rename(edited(network, change)))
    assert sorted((entry.name, entry.field) for entry in diff.initializers.changed) == [
        (name, "values") for name in ("half", "twice", "w1", "w2")
    ]
    assert only(diff, "initializers")


def test_a_tensor_in_an_attribute_is_compared_by_content(network):
    def change(graph):
        node = next(node for node in graph.node if node.name == "k")
        set_attribute(node, "value", onnx.numpy_helper.from_array(np.array([3.5], np.float32), "other"))

    (entry,) = diff_models(network, edited(network, change)).nodes.changed
    assert (entry.name, entry.field, entry.max_abs_diff) == ("k", "value", 0.5)
    assert (entry.before, entry.after) == ("float [1] {3.0}", "float [1] {3.5}")


def test_elements_that_are_no_numbers_have_no_largest_difference():
    def model(value):
        tensor = onnx.numpy_helper.from_array(np.array([1, value, np.nan], np.float32), "w")
        made = read("g (float[3] x) => (float[3] y) { [add] y = Add(x, w) }")
        made.graph.initializer.append(tensor)
        return made

    assert not diff_models(model(np.inf), model(np.inf))
    (entry,) = diff_models(model(np.nan), model(2)).initializers.changed
    assert entry.max_abs_diff is None
    assert diff_models(model(2), model(-2)).initializers.changed[0].max_abs_diff == 4


def test_integers_are_compared_exactly():
    def model(value):
        made = read("g (int64[1] x) => (int64[1] y) { [add] y = Add(x, w) }")
        made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), "w"))
        return made

    (entry,) = diff_models(model(2**62), model(2**62 + 1)).initializers.changed
    assert entry.max_abs_diff == 1


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


@pytest.fixture
def branching():
    """An If whose branches read a tensor from outside, and a call of a local function."""
    return read(
        """
        g (float[2] x, bool c) => (float[2] y) <float[2] w = {1, 2}> {
            [outer] t = Relu(x)
            [if] u = If<
                then_branch = then () => (float[2] a) { [inner] s = Abs(t) [scale] a = Mul(s, w) },
                else_branch = otherwise () => (float[2] b) { [other] b = Neg(t) }
            >(c)
            [call] y = local.twice(u)
        }
        <domain: "local", opset_import: ["" : 13]>
        twice (v) => (r) { [sum] r = Add(v, v) }
    """,
        '<ir_version: 10, opset_import: ["" : 13, "local" : 1]>',
    )


def test_renaming_inside_and_outside_of_subgraphs_is_no_change(branching):
    assert not diff_models(branching, rename(branching))


def test_a_change_in_a_subgraph_says_where_it_is(branching):
    def change(graph):
        body = graph.node[1].attribute[0].g
        body.node[0].op_type = "Neg"
        body.node[1].input[1] = "t"

    found = changes(diff_models(branching, edited(branching, change)))
    assert found == [
        ("if > then_branch > inner", "operator", "Abs", "Neg"),
        ("if > then_branch > scale", "input 1", "initializer w", "node outer"),
    ]


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


def test_lines_are_limited_and_say_how_many_are_left(resizes):
    def flip(graph):
        for node in graph.node:
            set_attribute(node, "mode", "nearest")

    lines = diff_models(resizes, edited(resizes, flip)).summary(limit=3).splitlines()
    assert lines == [
        "nodes: 8 changed",
        *(f"  ~ up{i} (Resize): mode linear -> nearest" for i in range(3)),
        "    ... and 5 more; --all shows them",
    ]


def test_names_are_escaped_for_terminals_and_notebooks():
    before = read("g (float[2] x) => (float[2] y) { [a] y = Relu(x) }")
    after = edited(before, lambda graph: graph.node.add(op_type="Abs", name="<b>\x1b[31m", input=["x"], output=["t"]))
    diff = diff_models(before, after)
    assert "\x1b" not in diff.summary()
    assert "&lt;b&gt;" in diff._repr_html_()
    assert "<b>" not in diff._repr_html_()
    assert diff.to_json()["nodes"]["added"] == [{"node": "<b>\x1b[31m", "op": "Abs"}]


@st.composite
def graphs(draw):
    """Random graphs of operators with one or two inputs, shared and distinct constants, dead ends included."""
    count = draw(st.integers(1, 12))
    tensors, lines = ["x0", "x1"], []
    for number in range(count):
        operator = draw(st.sampled_from(["Relu", "Abs", "Neg", "Add", "Mul", "LeakyRelu"]))
        inputs = [draw(st.sampled_from(tensors)) for _ in range(2 if operator in ("Add", "Mul") else 1)]
        if len(inputs) == 2 and draw(st.booleans()):
            inputs[1] = draw(st.sampled_from(["k0", "k1"]))
        attribute = f"<alpha={draw(st.sampled_from([0.5, 0.25]))}>" if operator == "LeakyRelu" else ""
        lines.append(f"[n{number}] t{number} = {operator}{attribute}({', '.join(inputs)})")
        tensors.append(f"t{number}")
    return read(f"""
        g (float[2] x0, float[2] x1) => (float[2] y) <float[2] k0 = {{1, 2}}, float[2] k1 = {{3, 4}}>
        {{ {" ".join(lines)} [last] y = Sub({draw(st.sampled_from(tensors))}, {tensors[-1]}) }}
    """)


@examples(60)
@given(graphs(), st.integers(0, 2**16))
def test_renaming_and_reordering_is_never_a_change(model, seed):
    diff = diff_models(model, rename(reorder(model, random.Random(seed))))
    assert not diff, diff.summary()


@examples(60)
@given(graphs(), st.data())
def test_another_operator_in_one_place_is_always_a_difference_of_one_node(model, data):
    number = data.draw(st.integers(0, len(model.graph.node) - 1))

    def change(graph):
        graph.node[number].op_type = "Max" if len(graph.node[number].input) == 2 else "Exp"
        del graph.node[number].attribute[:]

    diff = diff_models(model, edited(model, change))
    assert {entry.name for entry in diff.nodes.changed} == {model.graph.node[number].name}
    assert not diff.nodes.added
    assert not diff.nodes.removed


def test_time_grows_in_proportion_to_the_nodes():
    def chain(length, middle):
        nodes = [
            onnx.helper.make_node(
                "Relu" if number != middle else "Abs", [f"t{number}"], [f"t{number + 1}"], f"n{number}"
            )
            for number in range(length)
        ]
        value = onnx.helper.make_tensor_value_info
        ends = [value(name, onnx.TensorProto.FLOAT, [2]) for name in ("t0", f"t{length}")]
        return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:]))

    def seconds(length):
        one, two = chain(length, -1), rename(chain(length, length // 2))
        start = time.process_time()
        diff = diff_models(one, two)
        assert [entry.field for entry in diff.nodes.changed] == ["operator"]
        return time.process_time() - start

    seconds(100)
    assert seconds(8_000) < 4 * 8 * max(seconds(1_000), 0.02)  # quadratic would be 64 times
