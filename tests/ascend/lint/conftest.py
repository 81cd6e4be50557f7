"""What the tests of the rules share."""

import onnx
import pytest
from graphs import parse

from fastscnn_opt.ascend.lint.graph import open_graph


@pytest.fixture
def graph():
    """Return a function that opens a model from its ONNX text; the header is added."""

    def opened(text, opset=13, **white_lists):
        with_header = text.lstrip().startswith("<")
        return open_graph(onnx.parser.parse_model(text) if with_header else parse(text, opset), **white_lists)

    return opened


@pytest.fixture
def nodes():
    """Return a function that lists the nodes that a rule reports."""
    return lambda rule, graph: [finding.problem.node for finding in rule.findings(graph)]
