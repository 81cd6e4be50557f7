"""Nodes are paired whatever their names and order, and an inserted or removed node is no more than that."""

import random
import time

import onnx
import pytest
from diffs import changes, edited, only, read, rename, reorder, set_attribute
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from fastscnn_opt import diff_models


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


TWINS = "d = Constant<value_ints = [1]>() e = Constant<value_ints = [1]>()"


@pytest.mark.parametrize(
    "text",
    [
        f"g (float[2] x) => (float[2] y) {{ {TWINS} y = Relu(x) }}",
        f"g (float[2] x) => (float[2] y) {{ {TWINS} g = Cast<to = 1>(d) h = Cast<to = 1>(e) y = Relu(x) }}",
        "g (float[2] x) => (float[2] y) { d = Neg(x) e = Neg(x) y = Relu(x) }",
        f"""g (bool c, float[2] x) => (float[2] y) {{ y = If(c) <
            then_branch = t () => (float[2] a) {{ {TWINS} a = Relu(x) }},
            else_branch = f () => (float[2] b) {{ b = Neg(x) }}> }}""",
    ],
)
def test_equal_nodes_that_nothing_reads_may_be_renamed(text):
    def name(prefix):
        def apply(graph):
            for index, node in enumerate(graph.node):
                node.name = f"{prefix}{index}"
                for attribute in node.attribute:
                    apply(attribute.g)

        return apply

    model = read(text)
    assert not diff_models(edited(model, name("a")), edited(model, name("b")))


def test_one_of_three_equal_nodes_is_removed():
    text = "g (float[2] x) => (float[2] y) {{ {} y = Relu(x) }}"
    three = read(text.format(f"{TWINS} [last] f = Constant<value_ints = [1]>()"))
    diff = diff_models(three, read(text.format(TWINS.replace("d =", "p =").replace("e =", "q ="))))
    assert [item.name for item in diff.nodes.removed] == ["last"]
    assert only(diff, "nodes")


def test_renaming_inside_and_outside_of_subgraphs_is_no_change(branching):
    assert not diff_models(branching, rename(branching))


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
