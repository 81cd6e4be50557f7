"""Nodes that only change the precision of a tensor are left out of the graph, and their outputs are its copies."""

import pytest
from graphs import parse

from fastscnn_opt.deviations.graph import PlainGraph


@pytest.fixture
def quantised():
    """A Relu between quantisations, whose result is quantised for a Neg."""
    return parse("""
        g (float[4] x) => (float[4] y) <float scale = {0.5}, uint8 zero = {0}> {
            xq = QuantizeLinear(x, scale, zero)
            xd = DequantizeLinear(xq, scale, zero)
            r = Relu(xd)
            rq = QuantizeLinear(r, scale, zero)
            rd = DequantizeLinear(rq, scale, zero)
            y = Neg(rd)
        }
    """)


def test_quantisation_is_left_out(quantised):
    graph = PlainGraph(quantised)
    assert list(graph.tensors) == ["x", "r", "y"]
    assert [node.inputs for node in graph.scope.nodes] == [("x",), ("r",)]


def test_copies_are_further_names_of_a_tensor(quantised):
    assert PlainGraph(quantised).names() == {
        "x": "x", "xq": "x", "xd": "x", "r": "r", "rq": "r", "rd": "r", "y": "y",
    }  # fmt: skip


def test_a_tensor_is_read_dequantised(quantised):
    graph = PlainGraph(quantised)
    assert [graph.read_as(name) for name in ("x", "r", "y")] == ["xd", "rd", "y"]


def test_an_output_of_the_graph_is_read_as_it_is(quantised):
    quantised.graph.output[0].name = "r"
    assert PlainGraph(quantised).read_as("r") == "r"


def test_a_cast_to_an_integer_is_a_node():
    graph = PlainGraph(parse("g (float[4] x) => (int64[4] y) { h = Cast<to=10>(x) r = Relu(h) y = Cast<to=7>(r) }"))
    assert [node.op for node in graph.scope.nodes] == ["Relu", "Cast"]


def test_what_depends_on_no_input_is_no_tensor_of_the_graph():
    graph = PlainGraph(parse("g (float[1] x) => (float[1] y) <float[1] w = {2}> { v = Neg(w) y = Mul(x, v) }"))
    assert list(graph.tensors) == ["x", "y"]
