"""All rules together: on the export of the original recipe, and on the cured model."""

from collections import Counter

import pytest

from fastscnn_opt.ascend.lint.rules import RULES, rules_with
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.registry import build_pipeline


@pytest.fixture(scope="module")
def exported():
    from fastscnn_opt.demo.network import demo_model

    return demo_model()


def codes(findings):
    return Counter(finding.code for finding in findings)


def rewritten(model, pipeline):
    return PassManager(pipeline, verify=False).run(model).model


def test_the_export_of_the_recipe_has_the_known_problems(exported):
    findings = rules_with().lint(rewritten(exported, "adaptive-avgpool{lower=avgpool}"))
    assert codes(findings) == {"A101": 3, "A201": 2, "A202": 3, "A203": 3}


def test_the_cured_model_is_clean(exported):
    assert rules_with().lint(rewritten(exported, "adaptive-avgpool,drop-outputs,fp16-output")) == []


def test_native_pooling_stays_on_the_ai_core(exported):
    assert rules_with().lint(rewritten(exported, "adaptive-avgpool{lower=native},drop-outputs,fp16-output")) == []


def test_the_fix_pipeline_of_the_raw_export_is_the_cure(exported):
    pipeline = rules_with().fix_pipeline(rules_with().lint(exported))
    assert pipeline == "adaptive-avgpool,drop-outputs,fp16-output"
    assert rules_with().lint(rewritten(exported, pipeline)) == []


def test_the_fix_pipeline_of_the_recipes_file_is_the_cure(exported):
    recipe = rewritten(exported, "adaptive-avgpool{lower=avgpool}")
    pipeline = rules_with().fix_pipeline(rules_with().lint(recipe))
    assert pipeline == "large-avgpool,drop-outputs,fp16-output"
    assert rules_with().lint(rewritten(recipe, pipeline)) == []


# No pixel of this network's resizes falls exactly between two, so half-down is the same as half-up.
@pytest.mark.parametrize(("rounding", "clean"), [("half-up", True), ("half-down", True), ("floor", False)])
def test_only_nearest_that_rounds_is_what_the_device_runs(exported, rounding, clean):
    pipeline = f"adaptive-avgpool,drop-outputs,resize-nearest{{rounding={rounding}}},fp16-output"
    found = codes(rules_with().lint(rewritten(exported, pipeline)))
    assert (found == {}) if clean else (set(found) == {"A112"})


def test_every_rule_has_its_own_code_in_order():
    found = [rule.code for rule in RULES]
    assert found == sorted(set(found))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_has_a_manual_with_a_cure(rule):
    assert "Cure:" in rule.manual


def test_every_pass_in_a_fix_pipeline_exists(exported):
    assert build_pipeline(rules_with().fix_pipeline(rules_with().lint(exported)))
    assert build_pipeline("static-batch{n=1},simplify")
