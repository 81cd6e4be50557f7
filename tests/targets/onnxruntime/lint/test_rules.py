"""All rules for CPUs together."""

import pytest
from graphs import parse

from fastscnn_opt.demo.network import demo_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.targets.onnxruntime.lint.rules import RULE_SET


@pytest.fixture(scope="module")
def exported():
    return demo_model()


def codes(model):
    return {finding.code for finding in RULE_SET.lint(model)}


def test_every_rule_has_its_own_code_in_order():
    found = [rule.code for rule in RULE_SET.rules]
    assert found == sorted(set(found))


@pytest.mark.parametrize("rule", RULE_SET.rules, ids=lambda rule: rule.code)
def test_every_rule_has_a_manual_with_a_cure(rule):
    assert "Cure:" in rule.manual


def test_the_fix_pipeline_leaves_hints_alone(exported):
    pipeline = RULE_SET.fix_pipeline(RULE_SET.lint(exported))
    assert pipeline == "adaptive-avgpool,drop-outputs,conv-before-resize"
    assert codes(PassManager(pipeline, verify=False).run(exported).model) == {"C202"}


def test_the_pipeline_for_label_maps_is_clean(exported):
    pipeline = "adaptive-avgpool,drop-outputs,argmax-output"
    slow = PassManager(pipeline, verify=False).run(exported).model
    pipeline = RULE_SET.fix_pipeline(RULE_SET.lint(slow))
    assert pipeline == "conv-before-resize,fast-argmax"
    assert codes(PassManager(pipeline, verify=False).run(slow).model) == set()


@pytest.mark.parametrize(
    "text",
    [
        "g (seq(float[1]) x) => (seq(float[1]) y) { y = Identity(x) }",
        "g () => (float[1] y) { y = Constant<value_float=1.0>() }",
        "g (float x) => (float y) { y = Relu(x) }",
    ],
)
def test_models_without_an_image_are_clean(text):
    assert codes(parse(text, 17)) == set()
