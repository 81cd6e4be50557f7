"""What the graph does with an input says which values suit it: onnxruntime has to take the samples."""

import numpy as np
import pytest
from graphs import parse

from fastscnn_opt.model.sampling.roles import input_roles
from fastscnn_opt.model.sampling.samples import sample_sets
from fastscnn_opt.model.sampling.sizes import input_sizes
from fastscnn_opt.rewriting.verification.runner import GraphRunner

TABLE = np.arange(28, dtype=np.float32).reshape(7, 4)


def roles(model):
    return input_roles(model, input_sizes(model))


@pytest.mark.parametrize(
    ("text", "opset", "initializers"),
    [
        ("g (int64[3] i) => (float[3,4] y) { y = Gather(t, i) }", 13, {"t": TABLE}),
        ("g (int32[2,4] i) => (float[2,4] y) { y = GatherElements(t, i) }", 13, {"t": TABLE}),
        ("g (int64[5,2] i) => (float[5] y) { y = GatherND(t, i) }", 13, {"t": TABLE}),
        ("g (float[3] f) => (float[3,4] y) { i = Cast<to = 7>(f) y = Gather(t, i) }", 13, {"t": TABLE}),
        ("g (int64[2] i) => (float[2,9] y) { y = OneHot(i, d, v) }", 13, {"d": np.int64(9), "v": np.float32([0, 1])}),
        ("g (float[10,4] t, int64[3] i) => (float[3,4] y) { j = Identity(t) y = Gather(j, i) }", 13, {}),
        ("g (float[R,4] t, int64[3] i) => (float[3,4] y) { y = Gather(t, i) }", 13, {}),
        ("g (float[7,4] t, int64[2,1] i, float[2,4] u) => (float[7,4] y) { y = ScatterND(t, i, u) }", 13, {}),
        ("g (float[2,6] x, int64[2] s) => (float[?,?] y) { y = Reshape(x, s) }", 13, {}),
        ("g (float[2,6] x, int64[3] s) => (float[?,?,?] y) { y = Reshape(x, s) }", 13, {}),
        ("g (float[2,6] x, int64[3] s) => (float[3,2,2] y) { y = Reshape(x, s) }", 13, {}),
        ("g (float[1,6] x, int64[2] s) => (float[5,6] y) { y = Expand(x, s) }", 13, {}),
        ("g (float[1,1,4,6] x, int64[4] s) => (float[?,?,?,?] y) { y = Resize(x, , , s) }", 13, {}),
        ("g (float[1,1,4,6] x, float[4] s) => (float[?,?,?,?] y) { y = Resize(x, , s) }", 13, {}),
        ("g (float[1,1,4,6] x, float[4] s) => (float[?,?,?,?] y) { y = Upsample(x, s) }", 9, {}),
        ("g (float[2,3] x, int64[2] s) => (float[?,?] y) { y = Tile(x, s) }", 13, {}),
        ("g (int64[3] s) => (float[?,?,?] y) { y = ConstantOfShape(s) }", 13, {}),
        ("g (float[8] x, int64[1] k) => (float[?] y) { y, i = TopK(x, k) }", 13, {}),
        ("g (float[4,8] x, int64[2] a, int64[2] b) => (float[?,?] y) { y = Slice(x, a, b) }", 13, {}),
        ("g (float[4,8] x, int64[4] p) => (float[?,?] y) { y = Pad(x, p) }", 13, {}),
        ("g (int64 a, int64 b, int64 d) => (int64[?] y) { y = Range(a, b, d) }", 13, {}),
        ("g (float[1,1,5] x, int64[2] a) => (float[?] y) { y = Squeeze(x, a) }", 13, {}),
        ("g (float[4,6] x, int64[1] a) => (float[?,?] y) { y = ReduceSum(x, a) }", 13, {}),
        ("g (uint8[9] x, uint8[9] d) => (uint8[9] y) { y = Div(x, d) }", 14, {}),
        ("g (int32[9] x, int32[9] d) => (int32[9] y) { y = Mod(x, d) }", 13, {}),
        ("g (float[2,5,4] x, int64[2,4] t) => (float y) { y = SoftmaxCrossEntropyLoss(x, t) }", 13, {}),
        ("g (float[4,6] x, int64[1] a) => (float[?,?] y) { y = ReduceMax(x, a) }", 18, {}),
        ("g (float[1,1,4,6] x, float[4] s) => (float[1,1,8,12] y) { y = Resize(x, , s) }", 13, {}),
        ("g (float[6,2] x, int64[3] p) => (float[?,2] y) { y, z, u = Split(x, p) }", 13, {}),
    ],
)
def test_onnxruntime_takes_the_samples(text, opset, initializers):
    model = parse(text, opset, **initializers)
    runner = GraphRunner(model)
    for feeds in sample_sets(model):
        assert all(np.size(value) for value in runner(feeds).values())


def test_indices_reach_all_rows_of_the_smallest_table():
    text = "g (int64[99] i) => (float[99,4] y, float[99,2] z) { y = Gather(t, i) z = Gather(u, i) }"
    model = parse(text, t=TABLE, u=np.zeros((5, 2), np.float32))
    assert roles(model)["i"].bound == 5
    assert set(sample_sets(model)[0]["i"]) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("operator", ["Equal", "Greater", "Less", "LessOrEqual"])
def test_numbers_that_are_compared_are_hit_and_missed(operator):
    text = f"g (int64[40] i) => (bool[40] y) {{ y = {operator}(i, k) }}"
    (feeds, *_) = sample_sets(parse(text, k=np.int64(1000)))
    assert {999, 1000, 1001} < set(feeds["i"].tolist())


def test_single_numbers_that_are_compared_are_hit_and_missed_in_turn():
    model = parse("g (int64 i) => (bool y) { y = Equal(i, k) }", k=np.int64(7))
    assert {bool(GraphRunner(model)(feeds)["y"]) for feeds in sample_sets(model)} == {False, True}


def test_integers_that_become_booleans_are_both():
    model = parse("g (int32[30] i) => (bool[30] y) { y = Cast<to = 9>(i) }")
    assert set(GraphRunner(model)(sample_sets(model)[0])["y"].tolist()) == {False, True}


def test_an_input_that_only_a_branch_reads_has_its_role():
    text = """g (bool c, int64[3] i) => (float[3,4] y) {
        y = If(c) <then_branch = a () => (float[3,4] u) { u = Gather(t, i) },
                   else_branch = b () => (float[3,4] v) { w = Gather(t, i) v = Neg(w) }> }"""
    assert roles(parse(text, t=TABLE))["i"].bound == 7
