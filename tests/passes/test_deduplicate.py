"""deduplicate: of equal nodes and initializers one stays, and what only looks equal stays apart."""

import numpy as np
import onnx
import pytest
from fastscnn_opt.passes.deduplicate import RANDOM
from graphs import add_initializers, operators, parse, random_input, run

from fastscnn_opt.rewriting.manager import PassManager

SAME = np.array([1, 2, 3, 4], np.float32)


def graph(nodes: str, outputs: str = "float[4] y", x: str = "float[4] x", **initializers) -> onnx.ModelProto:
    return parse(f"g ({x}) => ({outputs}) {{ {nodes} }}", **initializers)


def unchanged(model: onnx.ModelProto) -> bool:
    """Tell whether the pass leaves everything as it is."""
    return PassManager("deduplicate", verify=False).run(model).steps[0].changes == []


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        ("a = Relu(x) b = Relu(x) y = Add(a, b)", ["Relu", "Add"]),
        ("a = Relu(x) b = Relu(x) c = Neg(a) d = Neg(b) y = Add(c, d)", ["Relu", "Neg", "Add"]),
        ("a = LeakyRelu<alpha=0.5>(x) b = LeakyRelu<alpha=0.5>(x) y = Add(a, b)", ["LeakyRelu", "Add"]),
        (
            "a = Clip(x, , x2) b = Clip(x, , x2) x2 = ReduceMax<keepdims=0>(x) y = Add(a, b)",
            ["ReduceMax", "Clip", "Add"],
        ),
        (
            "a, b = Split(x) c, d = Split(x) e = Concat<axis=0>(a, d) f = Concat<axis=0>(c, b) y = Add(e, f)",
            ["Split", "Concat", "Add"],
        ),
        (
            "a = Constant<value_float=2.0>() b = Constant<value=float {2}>() c = Mul(x, a) d = Mul(x, b) y = Add(c, d)",
            ["Mul", "Add"],
        ),
    ],
)
def test_equal_nodes_become_one(rewrite, nodes, left):
    model = graph(nodes)
    if "x2 =" in nodes:  # in order
        model.graph.node.insert(0, model.graph.node.pop(2))
    result = rewrite(model, "deduplicate").model
    assert operators(result) == left
    x = random_input(4)
    np.testing.assert_array_equal(run(result, x)[0], run(model, x)[0])


@pytest.mark.parametrize(
    "nodes",
    [
        "a = Relu(x) b = Neg(x) y = Add(a, b)",
        "a = Sub(x, w) b = Sub(w, x) y = Add(a, b)",
        "a = LeakyRelu<alpha=0.0>(x) b = LeakyRelu<alpha=-0.0>(x) y = Add(a, b)",
        "a = LeakyRelu<alpha=0.5>(x) b = LeakyRelu<alpha=0.25>(x) y = Add(a, b)",
        "a = RandomNormalLike(x) b = RandomNormalLike(x) y = Add(a, b)",
        "a = Dropout(x) b = Dropout(x) y = Add(a, b)",
        "a = vendor.Relu(x) b = vendor.Relu(x) y = Add(a, b)",
        "a = Relu(x) b = vendor.Relu(x) y = Add(a, b)",
        "m = ReduceMax<keepdims=0>(x) a = Clip(x, m) b = Clip(x, , m) y = Add(a, b)",
    ],
)
def test_nodes_that_differ_stay(nodes):
    assert unchanged(graph(nodes, w=SAME))


def test_every_operator_that_is_not_deterministic_is_left_alone():
    """The rest of those that ONNX calls so are windows, in onnx 1.22, or hold graphs, which the next test compares."""
    schemas = [schema for schema in onnx.defs.get_all_schemas() if schema.domain == ""]
    told = {schema.name for schema in schemas if "NonDeterministic" in str(schema.node_determinism)}
    windows = {"BlackmanWindow", "HannWindow", "HammingWindow"}
    assert told - windows - {"AffineGrid", "SequenceMap", "If", "Loop", "Scan"} == RANDOM


def test_nodes_with_graphs_inside_stay():
    branch = "g () => (float[4] {0}) {{ {0} = Neg(x) }}"
    a, b = (f"then_branch = {branch.format(f'{n}1')}, else_branch = {branch.format(f'{n}2')}" for n in "ab")
    nodes = f"a = If (q) <{a}> b = If (q) <{b}> y = Add(a, b)"
    assert unchanged(graph(nodes, x="float[4] x, bool q"))


def test_a_graph_output_keeps_its_name(rewrite):
    model = graph("a = Relu(x) b = Neg(a) y = Relu(x) z = Add(b, y)", "float[4] y, float[4] z")
    result = rewrite(model, "deduplicate").model
    assert operators(result) == ["Relu", "Neg", "Add"]
    assert [output.name for output in result.graph.output] == ["y", "z"]
    x = random_input(4)
    for got, expected in zip(run(result, x), run(model, x), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_what_reads_either_of_two_equal_nodes_is_equal(rewrite):
    nodes = "a = Relu(x) b = Neg(a) y = Relu(x) c = Neg(y) d = Relu(x) e = Neg(d) f = Add(b, c) z = Add(e, f)"
    result = rewrite(graph(nodes, "float[4] y, float[4] z"), "deduplicate").model
    assert operators(result) == ["Relu", "Neg", "Add", "Add"]
    assert result.graph.node[0].output == ["y"]


def test_a_constant_node_that_one_node_reads_twice_becomes_an_initializer(rewrite):
    result = rewrite(graph("a = Constant<value_floats=[1.0, 2.0]>() y = Concat<axis=0>(a, a)"), "deduplicate").model
    assert operators(result) == ["Concat"]
    np.testing.assert_array_equal(run(result, random_input(4))[0], [1, 2, 1, 2])


def test_two_outputs_that_are_equal_stay_and_are_reported():
    model = graph("y = Relu(x) z = Relu(x)", "float[4] y, float[4] z")
    (step,) = PassManager("deduplicate").run(model).steps
    assert step.changes == []
    assert "both make outputs of the graph" in step.skips[0].why


def test_a_body_reads_what_stays(rewrite):
    branches = (
        "then_branch = t () => (float[4] u) { u = Add(b, w2) }, else_branch = e () => (float[4] v) { v = Sub(b, w2) }"
    )
    nodes = f"a = Mul(x, w) b = Mul(x, w2) c = If (q) <{branches}> y = Add(a, c)"
    model = graph(nodes, x="float[4] x, bool q", w=SAME, w2=SAME)
    result = rewrite(model, "deduplicate").model
    assert operators(result) == ["Mul", "If", "Add"]
    assert [tensor.name for tensor in result.graph.initializer] == ["w"]
    for condition in (True, False):
        feeds = random_input(4), np.array(condition)
        np.testing.assert_array_equal(run(result, *feeds)[0], run(model, *feeds)[0])


def test_a_constant_node_that_a_body_reads_stays_a_node():
    branches = (
        "then_branch = t () => (float[4] u) { u = Add(x, k) }, else_branch = e () => (float[4] v) { v = Sub(x, k) }"
    )
    nodes = f"k = Constant<value_floats=[1.0, 2.0, 3.0, 4.0]>() y = If (q) <{branches}>"
    assert unchanged(graph(nodes, x="float[4] x, bool q"))


@pytest.mark.parametrize(
    ("one", "two", "merged"),
    [
        (SAME, SAME, True),
        (np.float32(0), np.float32(-0.0), False),
        (np.float32("nan"), np.float32("nan"), True),
        (SAME, SAME[:1], False),
        (SAME, SAME.reshape(1, 4), False),
        (np.zeros(4, np.float32), np.zeros(4, np.int32).view(np.float32), True),
    ],
)
def test_initializers_are_one_where_type_shape_and_bytes_are_equal(rewrite, one, two, merged):
    model = graph(
        "a = Add(x, v) b = Sub(x, w) y = Mul(a, b)",
        "float[...] y".replace("...", "1,4" if two.ndim == 2 else "4"),
        v=one,
        w=two,
    )
    result = rewrite(model, "deduplicate").model
    assert len(result.graph.initializer) == (1 if merged else 2)
    x = random_input(4)
    np.testing.assert_array_equal(run(result, x)[0], run(model, x)[0])


def test_values_of_another_type_with_the_same_bytes_stay():
    assert unchanged(
        graph("c = Cast<to=1>(v) a = Add(x, c) y = Mul(a, w)", v=np.zeros(4, np.int32), w=np.zeros(4, np.float32))
    )


def test_an_initializer_that_a_caller_may_replace_stays():
    model = graph("a = Add(x, v) b = Sub(x, w) y = Mul(a, b)", v=SAME, w=SAME)
    model.graph.input.append(onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [4]))
    assert unchanged(model)


def test_an_initializer_that_is_an_output_keeps_its_name(rewrite):
    model = graph("a = Add(x, v) y = Mul(a, w)", "float[4] y, float[4] w", v=SAME, w=SAME)
    result = rewrite(model, "deduplicate").model
    assert [output.name for output in result.graph.output] == ["y", "w"]
    np.testing.assert_array_equal(run(result, random_input(4))[1], SAME)


def test_texts_stay():
    model = graph("y = Relu(x)", "float[4] y, string[1] s, string[1] t")
    for name in "st":
        model.graph.node.append(onnx.helper.make_node("Identity", [f"{name}0"], [name]))
    text = add_initializers(model, s0=np.array(["a"], object), t0=np.array(["b"], object))
    assert unchanged(text)


def test_equal_float16_and_bfloat16_constants_become_one():
    """onnxruntime computes little in bfloat16, so the graphs are compared without it."""
    for kind in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16):
        model = graph("a = Cast<to=1>(v) b = Cast<to=1>(w) c = Add(a, b) y = Add(c, x)")
        model.graph.initializer.extend(onnx.helper.make_tensor(name, kind, [4], [1.0, 2.0, 3.0, 4.0]) for name in "vw")
        result = PassManager("deduplicate", verify=False).run(model).model
        assert operators(result) == ["Cast", "Add", "Add"]


@pytest.mark.parametrize("value", ["value_ints=[2]", "value=int64[1] {2}"])
def test_a_constant_node_is_the_same_as_an_initializer_at_once(rewrite, value):
    nodes = f"m = Constant<{value}>() a = Tile(x, m) y = Tile(a, n)"
    model = parse(f"g (float[4] x) => (y) <int64[1] n = {{2}}> {{ {nodes} }}")
    result = rewrite(model, "deduplicate").model
    assert [tensor.name for tensor in result.graph.initializer] == ["n"]
    np.testing.assert_array_equal(run(result, random_input(4))[0], np.tile(random_input(4), 4))
