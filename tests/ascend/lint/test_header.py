"""The rules about operator sets and open dimensions."""

import pytest

from fastscnn_opt.ascend.lint.header import new_opset, old_opset, open_dimension, operator_sets
from fastscnn_opt.ascend.lint.rules import rules_with
from fastscnn_opt.rewriting.manager import PassManager

BODY = "g (float[1,3,4,4] x) => (float[1,3,4,4] y) { y = Relu(x) }"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ('"" : 13, "" : 13', "ai.onnx is named 2 times"),
        ('"" : 13, "ai.onnx" : 12', "ai.onnx is named 2 times"),
        ('"" : 13, "ai.onnx.ml" : 2', "no node uses ai.onnx.ml"),
    ],
)
def test_an_operator_set_too_many_is_refused(graph, sets, said):
    (finding,) = operator_sets.findings(graph(f"<ir_version: 8, opset_import: [{sets}]> {BODY}"))
    assert said in finding.problem.message


@pytest.mark.parametrize("sets", ['"" : 13, "" : 13', '"" : 13, "ai.onnx" : 13', '"" : 13, "ai.onnx.ml" : 2'])
def test_the_pipeline_mends_the_list_of_operator_sets(graph, sets):
    model = graph(f"<ir_version: 8, opset_import: [{sets}]> {BODY}").model
    rules = rules_with()
    cured = PassManager(rules.fix_pipeline(rules.lint(model))).run(model).model
    assert rules.lint(cured) == []


def test_a_domain_that_a_node_uses_is_another_matter(graph, nodes):
    model = graph("""
        <ir_version: 8, opset_import: ["" : 13, "custom" : 1]>
        g (float[1,3,4,4] x) => (float[1,3,4,4] y) { y = custom.Thing(x) }
    """)
    assert nodes(operator_sets, model) == []


@pytest.mark.parametrize(("opset", "codes"), [(9, ["A303"]), (11, []), (13, []), (14, ["A302"])])
def test_opsets_11_to_13_are_supported(graph, opset, codes):
    model = graph(BODY, opset)
    assert [finding.code for rule in (new_opset, old_opset) for finding in rule.findings(model)] == codes


def test_a_dynamic_batch_is_mended_by_a_pass(graph):
    (finding,) = open_dimension.findings(graph("g (float[N,3,4,4] x) => (float[N,3,4,4] y) { y = Relu(x) }"))
    assert (finding.problem.node, finding.problem.passes) == ("x", "static-batch{n=1}")


def test_an_open_height_is_mended_by_an_export(graph):
    (finding,) = open_dimension.findings(graph("g (float[1,3,H,4] x) => (float[1,3,H,4] y) { y = Relu(x) }"))
    assert (finding.problem.node, finding.problem.passes) == ("x", "")
    assert "input_shape" in finding.problem.cure


def test_fixed_dimensions_are_fine(graph, nodes):
    assert nodes(open_dimension, graph(BODY)) == []
