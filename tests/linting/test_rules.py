"""What the rules of all targets share: how one is found by its code, and the pipeline of a set of findings."""

import pytest
from graphs import parse

from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.linting.graph import open_graph
from fastscnn_opt.linting.rules import Finding, Problem, Rule, RuleSet, Severity, rule_of

RULES = [
    Rule(code, Severity.ERROR, "", lambda _: iter(())) for code in ("A101", "A104", "A111", "A115", "A203", "B101")
]


@pytest.mark.parametrize("code", ["A104", "a104"])
def test_a_rule_is_found_by_its_code(code):
    assert rule_of(code, RULES).code == "A104"


@pytest.mark.parametrize(
    ("code", "near"),
    [
        ("A120", "A115"),
        ("A109", "A104"),
        ("A116", "A115"),
        ("A2", "A203"),
        ("A300", "A203"),
        ("B9", "B101"),
        ("A", "A1"),
        ("Q101", ""),
    ],
)
def test_an_unknown_code_leads_to_the_nearest(code, near):
    with pytest.raises(TargetError, match=f"there is no rule '{code}'; (did you mean '{near}|known: {near})"):
        rule_of(code, RULES)


def test_the_pipeline_is_in_the_given_order_and_leaves_hints_out():
    findings = [
        Finding("X1", severity, Problem("node", "", "", passes))
        for severity, passes in [
            (Severity.WARNING, "late"),
            (Severity.ERROR, "first{n=1},late"),
            (Severity.HINT, "matter-of-choice"),
            (Severity.WARNING, "elsewhere"),
            (Severity.ERROR, ""),
        ]
    ]
    assert RuleSet((), ("first", "late"), open_graph).fix_pipeline(findings) == "first{n=1},late,elsewhere"


def test_constants_that_an_operator_refuses_are_told_with_the_node():
    model = parse("g (float[2] x) => (float[2] y) { [n] i = Gather(s, far) y = Reshape(x, i) }", s=[2], far=[7])
    with pytest.raises(ModelError, match="node 'n' fails on its constant inputs: index 7 is out of bounds"):
        open_graph(model).constant("i")
