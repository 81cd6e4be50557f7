"""Operators that only share a name with those of ONNX, and plug-in operators: passes leave them alone."""

import logging
from dataclasses import dataclass
from typing import ClassVar

import onnx
import pytest
from graphs import operators, parse, skips

from fastscnn_opt.errors import PassError
from fastscnn_opt.linting.graph import open_graph
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.rewriting.contract import Change, Contract, Pass
from fastscnn_opt.rewriting.manager import PassManager, run_pass

HEADER = '<ir_version: 10, opset_import: ["": 18, "vendor": 1]>'

FUNCTIONS = {
    name: f'<domain: "vendor", opset_import: ["": 18]> {name} (x) => (y) {{ y = Neg(x) }}'
    for name in ("Resize", "Identity", "Dropout", "Transpose", "ArgMax", "BatchNormalization", "AveragePool", "Cast")
}
"""Functions that are called like operators of ONNX, and that negate."""


def model_with(text):
    """A graph with the functions that it calls."""
    called = [function for name, function in FUNCTIONS.items() if f"vendor.{name}" in text]
    return onnx.parser.parse_model(f"{HEADER} {text} {' '.join(called)}")


ALIKE = {
    "remove-noops": "a = Relu(x) i = vendor.Identity(a) y = Tanh(i)",
    "simplify": "a = Relu(x) i = vendor.Identity(a) y = Tanh(i)",
    "simplify{optimize=true}": "a = vendor.Transpose(x) i = vendor.Dropout(a) y = Tanh(i)",
    "resize-nearest": "a = Relu(x) r = vendor.Resize(a) y = Tanh(r)",
    "fold-batchnorm": "c = Conv(x, w) y = vendor.BatchNormalization(c)",
    "conv-before-resize": "r = vendor.Resize(x) y = Conv(r, w)",
    "large-avgpool{area=0}": "a = Relu(x) y = vendor.AveragePool(a)",
    "adaptive-avgpool": "a = Relu(x) y = vendor.AveragePool(a)",
    "upsample-output": "a = Relu(x) y = vendor.Resize(a)",
}


@pytest.mark.parametrize(("pipeline", "nodes"), ALIKE.items(), ids=ALIKE)
def test_an_operator_with_the_name_of_one_of_onnx_is_left_alone(pipeline, nodes):
    text = f"g (float[1,3,8,8] x) => (float[1,3,8,8] y) <float[3,3,1,1] w = {{1,0,0,0,1,0,0,0,1}}> {{ {nodes} }}"
    model = model_with(text)
    assert PassManager(pipeline).run(model).model == model


@pytest.mark.parametrize("pipeline", ["fp16", "fp16-output", "static-batch{n=2}"])
def test_passes_around_it_give_it_back_under_its_own_name(pipeline):
    text = "g (float[1,3,8,8] x) => (float[1,3,8,8] y) { a = Relu(x) r = vendor.Resize(a) y = Tanh(r) }"
    try:
        result = PassManager(pipeline, verify=False).run(model_with(text)).model
    except PassError as error:
        assert "vendor.Resize" in str(error)  # noqa: PT017  # a pass may refuse what it cannot follow, by its name
        return
    foreign = [node for node in result.graph.node if node.domain]
    assert [(node.op_type, node.domain) for node in foreign] == [("Resize", "vendor")]


def test_simplify_works_on_the_operators_of_onnx_beside_it():
    text = "g (float[1,3] x) => (float[1,3] y) { a = Identity(x) i = vendor.Identity(a) y = Identity(i) }"
    result = PassManager("simplify").run(model_with(text))
    assert operators(result.model) == ["Identity"]
    assert result.model.graph.node[0].domain == "vendor"
    assert result.model.functions == model_with(text).functions


def test_a_changed_node_of_another_domain_keeps_its_name_in_the_file():
    @dataclass(frozen=True)
    class Rename(Pass):
        name: ClassVar[str] = "rename"
        contract: ClassVar[Contract] = Contract.EXACT

        def rewrite(self, graph):
            (node,) = (node for node in graph.nodes if node.op == "vendor.Resize")
            node.name = "renamed"
            yield Change(node, "renamed")

    text = "g (float[1,3] x) => (float[1,3] y) { a = Relu(x) y = vendor.Resize(a) }"
    node = run_pass(Rename(), model_with(text))[0].graph.node[1]
    assert (node.name, node.op_type, node.domain) == ("renamed", "Resize", "vendor")


def test_verification_looks_for_no_logits_behind_the_best_class_of_another_domain():
    text = "g (float[1,3,2,2] x) => (float[1,3,2,2] y) { i = Identity(x) y = vendor.ArgMax(i) }"
    assert PassManager("remove-noops").run(model_with(text)).steps[0].verified is True


def test_rules_see_the_domain_in_the_name():
    text = "g (float[1,3] x) => (float[1,3] y) { a = Relu(x) y = vendor.Resize(a) }"
    assert [node.op_type for node in open_graph(model_with(text)).nodes] == ["Relu", "vendor.Resize"]


@pytest.fixture
def plugin():
    """A graph with an operator in the domain of ONNX that only a plug-in of an engine knows."""
    return parse("""
        g (float[1,3,4,4] x) => (float[1,3,4,4] y, float[1,3,4,4] z) <float[1,3,4,4] p>
        { [i] a = Identity(x) [plug] p = RegionYolo_TRT<anchors = 3>(a) [j] q = Identity(p) y = Tanh(q) z = Relu(a) }
    """)


def test_passes_work_on_the_nodes_around_a_plugin(plugin):
    result = PassManager("remove-noops", verify=False).run(plugin).model
    assert operators(result) == ["RegionYolo_TRT", "Tanh", "Relu"]
    assert result.graph.node[0].domain == ""
    assert result.graph.node[0].attribute == plugin.graph.node[1].attribute


def test_what_the_file_says_of_the_result_of_a_plugin_stays(plugin):
    known = {value.name: value.type for value in infer_shapes(plugin).graph.value_info}
    assert known["p"] == plugin.graph.value_info[0].type
    del plugin.graph.value_info[:]
    assert {value.name for value in infer_shapes(plugin).graph.value_info} == {"a"}


def test_simplify_leaves_a_plugin_alone(plugin):
    result = PassManager("simplify", verify=False).run(plugin)
    assert operators(result.model) == ["RegionYolo_TRT", "Tanh", "Relu"]
    assert skips(result) == {"plug": "is no operator of ONNX, so onnx-simplifier does not look into it"}


def test_a_plugin_inside_a_branch_keeps_no_pass_away():
    model = parse("""
        g (bool c, float[2] x) => (float[2] y)
        { i = Identity(x)
          y = If(c)<then_branch = t () => (float[2] p) { p = Swish_TRT(i) },
                    else_branch = e () => (float[2] q) { q = Neg(i) }> }
    """)
    assert operators(PassManager("remove-noops", verify=False).run(model).model) == ["If"]


def test_a_plugin_is_named_when_the_model_is_read(plugin, tmp_path, caplog):
    save_model(plugin, tmp_path / "m.onnx")
    with caplog.at_level(logging.WARNING):
        assert load_model(tmp_path / "m.onnx") == plugin
    assert caplog.messages[-1].endswith(
        "ONNX does not define 'RegionYolo_TRT'; passes leave it alone, and no shape behind it is inferred"
    )


def test_an_operator_that_a_pass_makes_up_is_refused():
    @dataclass(frozen=True)
    class MakeUp(Pass):
        name: ClassVar[str] = "make-up"
        contract: ClassVar[Contract] = Contract.EXACT

        def rewrite(self, graph):
            graph.nodes[0].op = "Swoosh"
            yield Change(graph.nodes[0], "made up")

    with pytest.raises(PassError, match="the operator 'Swoosh', which ONNX does not define"):
        run_pass(MakeUp(), parse("g (float[2] x) => (float[2] y) { y = Relu(x) }"))
