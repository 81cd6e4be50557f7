"""Readers of tensors, also those in the graphs inside nodes."""

from graphs import parse

from fastscnn_opt.rewriting.graph.live import LiveGraph
from fastscnn_opt.rewriting.graph.nodes import Readers

NESTED = """
    g (float[2] x, bool f) => (float[2] y, float[2] z) {
        [own] a = Neg(x)
        [choice] y = If(f) <
            then_branch = yes () => (float[2] t) {
                t = If(f) <
                    then_branch = deep () => (float[2] d) { d = Add(a, a) },
                    else_branch = other () => (float[2] o) { o = Neg(x) }>
            },
            else_branch = no () => (float[2] e) { e = Relu(x) }>
        [twice] z = Mul(a, a)
    }
"""


def test_a_reader_at_any_depth_is_the_node_of_the_graph_itself():
    graph = LiveGraph(parse(NESTED)).graph
    readers = Readers(graph)
    assert [node.name for node in readers.of(graph.inputs[0])] == ["own", "choice", "choice"]
    a = graph.nodes[0].outputs[0]
    assert sorted(node.name for node in readers.of(a)) == ["choice", "choice", "twice", "twice"]
