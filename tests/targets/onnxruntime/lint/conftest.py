"""What the tests of the rules share."""

import pytest
from graphs import parse

from fastscnn_opt.linting.graph import open_graph
from fastscnn_opt.rewriting.manager import PassManager


@pytest.fixture
def problems():
    """Return a function that lists what a rule finds in a model, or in one made from ONNX text."""
    return lambda rule, model, opset=13, **initializers: [
        finding.problem
        for finding in rule.findings(
            open_graph(parse(model, opset, **initializers) if isinstance(model, str) else model)
        )
    ]


@pytest.fixture
def cured(problems):
    """Return a function that runs the pipeline of a rule's first problem, and lists what the rule finds then."""

    def run(rule, model):
        passes = problems(rule, model)[0].passes
        return problems(rule, PassManager(passes).run(model).model)

    return run
