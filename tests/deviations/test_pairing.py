"""Tensors that hold the same are paired, whatever their names, and others are not."""

import numpy as np
import pytest
from diffs import rename
from graphs import parse, random_input

from fastscnn_opt.deviations.pairing import pair_tensors
from fastscnn_opt.deviations.runner import InnerRunner

WEIGHTS = {"w1": random_input(4, 4, 1, 1), "w2": 2 * random_input(4, 4, 1, 1)}
TWO_LAYERS = """
    g (float[1,4,8,8] image) => (float[1,4,8,8] out) {
        [one] a = Conv(image, w1)
        [one_relu] b = Relu(a)
        [two] c = Conv(b, w2)
        [two_relu] out = Relu(c)
    }
"""


def pairs(one, two):
    return pair_tensors(InnerRunner(one, "A"), InnerRunner(two, "B"))


def test_a_renamed_model_pairs_as_a_whole():
    model = parse(TWO_LAYERS, **WEIGHTS)
    renamed = rename(model)
    outputs = dict(zip(["a", "b", "c"], (node.output[0] for node in renamed.graph.node[:3]), strict=True))
    assert pairs(model, renamed) == {"image": "image", **outputs, "out": "out"}


def test_names_come_before_nodes_where_a_node_is_fused_with_its_successor():
    fused = parse(
        "g (float[1,4,8,8] image) => (float[1,4,8,8] out) { [one] b = Conv(image, w1) [two] out = Conv(b, w2) }",
        **WEIGHTS,
    )
    assert pairs(parse(TWO_LAYERS, **WEIGHTS), fused) == {"image": "image", "b": "b", "out": "out"}


NORM = """
    g (float[1,4,8,8] image) => (float[1,4,8,8] out) {
        [one] a = Conv(image, w1)
        [norm] n = Mul(a, twice)
        [one_relu] b = Relu(n)
        [two] out = Conv(b, w2)
    }
"""


@pytest.mark.parametrize("change", [lambda model: model, rename], ids=["same names", "other names"])
def test_a_scale_folded_into_the_convolution_before_it_leaves_its_input_alone(change):
    model = parse(NORM, **WEIGHTS, twice=np.full((4, 1, 1), 2, np.float32))
    folded = parse(TWO_LAYERS, w1=2 * WEIGHTS["w1"], w2=WEIGHTS["w2"])
    folded.graph.node.pop()
    folded.graph.node[2].output[0] = "out"
    folded = change(folded)
    scaled, relu = (folded.graph.node[index].output[0] for index in (0, 1))
    assert pairs(model, folded) == {"image": "image", "n": scaled, "b": relu, "out": "out"}


def test_a_scale_folded_into_the_convolution_behind_it_leaves_its_output_alone():
    behind = NORM.replace("[norm] n = Mul(a, twice)", "").replace("Relu(n)", "Relu(a)").replace("Conv(b,", "Conv(n,")
    behind = behind.replace("[two]", "[norm] n = Mul(b, twice) [two]")
    model = parse(behind, **WEIGHTS, twice=np.full((4, 1, 1), 2, np.float32))
    folded = parse(TWO_LAYERS, w1=WEIGHTS["w1"], w2=2 * WEIGHTS["w2"])
    folded.graph.node.pop()
    folded.graph.node[2].output[0] = "out"
    assert pairs(model, folded) == {"image": "image", "a": "a", "b": "b", "out": "out"}


def test_numbers_that_belong_to_other_nodes_are_no_names():
    model = parse(TWO_LAYERS, **WEIGHTS)
    turned = parse(TWO_LAYERS, **WEIGHTS)
    for node in turned.graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [{"a": "c", "c": "a"}.get(name, name) for name in names]
    assert pairs(model, turned) == {"image": "image", "a": "c", "b": "b", "c": "a", "out": "out"}


def test_a_tensor_that_paired_nodes_read_is_paired_through_another_operator():
    model = parse("g (float[4] x) => (float[4] y) { [a] p = Exp(x) [b] q = Neg(p) [c] r = Abs(q) [d] y = Sqrt(r) }")
    other = parse("g (float[4] x) => (float[4] y) { [a] s = Exp(x) [e] t = Selu(s) [d] y = Sqrt(t) }")
    assert pairs(model, other) == {"x": "x", "p": "s", "r": "t", "y": "y"}


@pytest.mark.parametrize("neg", ["Concat<axis=0>(x, x)", "Cast<to=7>(x)"], ids=["shape", "type"])
def test_tensors_of_other_form_are_no_pair(neg):
    model, other = (parse(f"g (float[4] x) => (float[4] y) {{ t = {op} y = Relu(x) }}") for op in ("Neg(x)", neg))
    assert pairs(model, other) == {"x": "x", "y": "y"}
