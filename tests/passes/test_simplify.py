"""simplify: what is folded and fused, what survives, and silence on the standard streams."""

import subprocess
import sys
import textwrap

import numpy as np
import onnx
import onnxsim
import pytest
import torch
from graphs import operators, parse, random_input, run

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change
from fastscnn_opt.rewriting.graph.importing import import_model
from fastscnn_opt.rewriting.manager import PassManager

ARITHMETIC = """
    g (float[1,3,8,8] x) => (float[1,3,16,16] y) {
        shape = Shape(x)
        zero = Constant<value_ints=[0]>()
        two = Constant<value_ints=[2]>()
        front = Slice(shape, zero, two)
        size = Constant<value_ints=[16,16]>()
        sizes = Concat<axis=0>(front, size)
        [up] y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, , , sizes)
    }
"""


def test_shape_arithmetic_is_folded_and_counted(rewrite):
    result = rewrite(parse(ARITHMETIC), "simplify")
    assert [op for op in operators(result.model) if op != "Constant"] == ["Resize"]
    (change,) = result.steps[0].changes
    assert change.node == "graph"
    assert "Concat 1 -> 0" in change.what
    assert "Shape 1 -> 0" in change.what
    x = random_input(1, 3, 8, 8)
    expected = torch.nn.functional.interpolate(torch.from_numpy(x), (16, 16), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(run(result.model, x)[0], expected.numpy(), atol=1e-5)


def test_the_needless_nodes_of_older_exports_go(rewrite):
    """Such as a Pad by computed zeros before a pooling, Dropout at inference, and an Identity before an output."""
    model = parse("""
        g (float[1,3,8,8] x) => (float[1,3,4,4] y)
        <int64[1] eight = {8}, int64[4] size = {1, 3, 4, 4}>
        {
            zeros = ConstantOfShape(eight)
            pads = Cast<to=7>(zeros)
            r = Relu(x)
            p = Pad(r, pads)
            a = AveragePool<kernel_shape=[2,2], strides=[2,2]>(p)
            d = Dropout(a)
            t = Transpose<perm=[0,1,2,3]>(d)
            s = Reshape(t, size)
            y = Identity(s)
        }
    """)
    result = rewrite(model, "simplify").model
    assert operators(result) == ["Relu", "AveragePool"]
    x = random_input(1, 3, 8, 8)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(x).relu(), 2)
    np.testing.assert_allclose(run(result, x)[0], expected.numpy(), atol=1e-6)


def test_optimize_fuses_batch_normalisation(segmenter, rewrite):
    result = rewrite(segmenter, "simplify")
    assert "BatchNormalization" not in operators(result.model)
    assert "BatchNormalization 1 -> 0" in result.steps[0].changes[0].what
    assert result.steps[0].verified is True


def test_without_optimize_nothing_is_fused(segmenter, rewrite):
    assert "BatchNormalization" in operators(rewrite(segmenter, "simplify{optimize=false}").model)


def test_fused_normalisation_computes_what_pytorch_does(segmenter, rewrite):
    model = rewrite(segmenter, "simplify").model
    weights = {init.name: torch.tensor(onnx.numpy_helper.to_array(init)) for init in segmenter.graph.initializer}
    x = random_input(1, 3, 32, 64)
    stem = torch.nn.functional.conv2d(torch.from_numpy(x), weights["w_stem"], weights["b_stem"], stride=4)
    statistics = (weights["mean"], weights["variance"], weights["scale"], weights["shift"])
    features = torch.nn.functional.batch_norm(stem, *statistics).relu()
    logits = torch.nn.functional.conv2d(features, weights["w_aux"])
    expected = torch.nn.functional.interpolate(logits, (32, 64), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(run(model, x)[1], expected.numpy(), atol=1e-4)


def test_names_of_nodes_inputs_and_outputs_stay(segmenter, rewrite):
    model = rewrite(segmenter, "simplify").model
    assert {"stem", "pool1", "up3", "main_up"} <= {node.name for node in model.graph.node}
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["output1", "output2"]


@pytest.mark.parametrize("first", ["", "adaptive-avgpool{lower=native}"])
def test_adaptive_pooling_of_any_domain_survives(segmenter, rewrite, first):
    before = PassManager(first).run(segmenter).model
    after = rewrite(before, "simplify").model
    pools = [[node.domain for node in model.graph.node if "Pool" in node.op_type] for model in (before, after)]
    assert pools[0] == pools[1]
    assert len(pools[1]) == 2
    assert after.opset_import == before.opset_import


def test_operators_that_onnx_does_not_have_are_reported(segmenter, rewrite):
    skips = {skip.node: skip.why for skip in rewrite(segmenter, "simplify").steps[0].skips}
    assert skips == dict.fromkeys(
        ("pool1", "pool3"), "is no operator of ONNX, so onnx-simplifier does not look into it"
    )


def test_a_simple_graph_is_left_alone(rewrite):
    model = parse("g (float[2] x) => (float[2] y) { [relu] y = Relu(x) }")
    result = rewrite(model, "simplify")
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [("graph", "nothing to simplify")]
    assert result.model.SerializeToString() == model.SerializeToString()


def test_a_dynamic_batch_stays_dynamic(rewrite):
    model = rewrite(parse(ARITHMETIC.replace("[1,", "[N,")), "simplify").model
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


@pytest.mark.parametrize("first", ["", "adaptive-avgpool{lower=native},"])
def test_nothing_is_printed(segmenter, capfd, first):
    PassManager(f"{first}simplify").run(segmenter)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_pytorch_and_sympy_are_not_imported(tmp_path):
    code = """
        import sys
        from pathlib import Path
        import onnx
        from fastscnn_opt.rewriting.manager import PassManager
        relu = "g (float[2] x) => (float[2] y) { y = Relu(x) }"
        model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]>' + relu)
        PassManager("simplify", verify=False).run(model)
        Path("imported").write_text(" ".join({"onnxsim", "sympy", "torch"} & sys.modules.keys()))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=tmp_path)
    assert (tmp_path / "imported").read_text() == "onnxsim"


def test_its_own_failed_check_is_an_error(segmenter, monkeypatch):
    monkeypatch.setattr(onnxsim, "simplify", lambda model, **_: (model, False))
    with pytest.raises(PassError, match="onnx-simplifier's own check of its result failed"):
        PassManager("simplify").run(segmenter)


def test_its_exceptions_become_one_sentence(segmenter, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("bad node\nwith a long trace")

    monkeypatch.setattr(onnxsim, "simplify", fail)
    with pytest.raises(PassError, match=r"^onnx-simplifier fails on the graph \(bad node\); leave out simplify"):
        PassManager("simplify").run(segmenter)


def test_a_graph_with_nothing_to_simplify_keeps_its_very_nodes():
    model = parse("""
        g (float[1,3,8,8] x) => (float[1,3,2,2] y) { a = Relu(x) y = AdaptiveAvgPool2d<output_size=[2,2]>(a) }
    """)
    graph, _ = import_model(model, {})
    nodes = list(graph.nodes)
    assert not any(isinstance(step, Change) for step in PassManager("simplify").passes[0].rewrite(graph))
    assert all(node is before for node, before in zip(graph.nodes, nodes, strict=True))
    assert not any(node.domain for node in graph.nodes)


LEAKY = "g (float[2] x) => (float[2] y) { a = Relu(x) [leaky] y = LeakyRelu<alpha=0.1>(a) }"


def rounds_that(*edits):
    """Stand in for onnx-simplifier: each call makes the next edit, and later calls change nothing."""
    remaining = list(edits)

    def simplify(model, **_):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        if remaining:
            remaining.pop(0)(changed.graph)
        return changed, True

    return simplify


def set_alpha(graph):
    graph.node[-1].attribute[0].f = 0.2


def drop_the_relu(graph):
    graph.node[-1].input[0] = "x"
    del graph.node[0]


def test_a_change_that_keeps_every_count_is_kept_and_reported(monkeypatch):
    monkeypatch.setattr(onnxsim, "simplify", rounds_that(set_alpha))
    result = PassManager("simplify", verify=False).run(parse(LEAKY))
    assert result.model.graph.node[-1].attribute[0].f == pytest.approx(0.2)
    assert [change.what for change in result.steps[0].changes] == [
        "the same operators, with other inputs, attributes or constants"
    ]


def test_a_later_round_that_keeps_every_count_is_kept(monkeypatch):
    monkeypatch.setattr(onnxsim, "simplify", rounds_that(drop_the_relu, set_alpha))
    model = PassManager("simplify", verify=False).run(parse(LEAKY)).model
    assert operators(model) == ["LeakyRelu"]
    assert model.graph.node[0].attribute[0].f == pytest.approx(0.2)


def test_a_round_that_renames_nodes_changes_nothing(monkeypatch):
    monkeypatch.setattr(onnxsim, "simplify", rounds_that(lambda graph: setattr(graph.node[0], "name", "another")))
    result = PassManager("simplify", verify=False).run(parse(LEAKY))
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [("graph", "nothing to simplify")]


def test_another_order_of_the_nodes_changes_nothing(monkeypatch):
    def turn(graph):
        graph.node.insert(1, graph.node.pop(0))

    monkeypatch.setattr(onnxsim, "simplify", rounds_that(turn))
    model = parse("g (float[2] x) => (float[2] y) { a = Constant<value_float=1.0>() b = Abs(x) y = Add(a, b) }")
    result = PassManager("simplify", verify=False).run(model)
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [("graph", "nothing to simplify")]


def constant_of(text: str, **constants) -> onnx.ModelProto:
    """A sum of an image of 4 MB with a tensor `c` that `text` makes of constants."""
    return parse(f"g (float[1,16,256,256] x) => (float[1,16,256,256] y) {{ {text} y = Add(x, c) }}", **constants)


SIZE, F = np.array([1, 16, 256, 256]), np.float32


@pytest.mark.parametrize(
    "model",
    [
        constant_of("[grow] c = Expand(k, s)", k=random_input(1, 16, 1, 1), s=SIZE),
        constant_of("[grow] c = Tile(k, s)", k=random_input(1, 16, 1, 1), s=np.array([1, 1, 256, 256])),
        constant_of("[grow] a = ConstantOfShape(s) c = Cos(a)", s=SIZE),
        constant_of("[grow] a = Range(f, l, f1) c = Reshape(a, s)", f=F(0), l=F(2**20), f1=F(1), s=SIZE),
        constant_of("[grow] c = Mul(k, l)", k=random_input(1, 16, 256, 1), l=random_input(1, 16, 1, 256)),
        constant_of("e = Exp(k) [grow] c = Resize(e, , f)", k=random_input(1, 16, 2, 2), f=F([1, 1, 128, 128])),
    ],
    ids=["Expand", "Tile", "ConstantOfShape", "Range", "Mul", "Resize"],
)  # fmt: skip
def test_constants_are_not_folded_into_much_larger_ones(rewrite, model):
    result = rewrite(model, "simplify")
    assert result.model.ByteSize() < model.ByteSize() + 2000
    assert {skip.node: skip.why for skip in result.steps[0].skips}["grow"].startswith("its result of 4.2 MB would be")


def test_large_constants_that_do_not_grow_are_folded(rewrite):
    model = constant_of("c = Transpose<perm=[0,3,2,1]>(k)", k=random_input(1, 256, 256, 16))
    assert operators(rewrite(model, "simplify").model) == ["Add"]


def test_what_the_simplifier_prints_stays_out_of_the_streams(capfd):
    bfloat16 = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16)
    model = parse("g (float[4] x) => (float[4] y) { f = Cast<to=1>(w) i = Identity(x) y = Mul(i, f) }", 21)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(4, dtype=bfloat16), "w"))
    PassManager("simplify", verify=False).run(model)
    assert capfd.readouterr() == ("", "")
