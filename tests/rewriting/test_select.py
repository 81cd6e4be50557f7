"""Selection of nodes by role and by name."""

import onnx_graphsurgeon as gs
import pytest

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.select import Select


@pytest.fixture
def graph(tiny_model):
    return gs.import_onnx(tiny_model)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("all", ["shrink", "enlarge"]),
        ("head", ["enlarge"]),
        ("body", ["shrink"]),
        ("enl*", ["enlarge"]),
        ("shrink|enlarge", ["shrink", "enlarge"]),
    ],
)
def test_roles_and_globs_select_nodes(graph, pattern, names):
    assert [node.name for node in Select(pattern).nodes(graph, "Resize")] == names


def test_the_head_is_found_behind_other_operators(tiny_model):
    output = tiny_model.graph.output[0]
    tiny_model.graph.node[-1].output[0] = "logits"
    tiny_model.graph.node.add(op_type="Relu", input=["logits"], output=[output.name], name="last")
    assert [node.name for node in Select("head").nodes(gs.import_onnx(tiny_model), "Resize")] == ["enlarge"]


def test_a_glob_that_matches_nothing_names_the_nearest(graph):
    with pytest.raises(PassError, match="'enlage' matches no Resize node; did you mean 'enlarge'"):
        Select("enlage").nodes(graph, "Resize")


def test_a_glob_that_matches_a_node_of_another_operator_is_refused(graph):
    with pytest.raises(PassError, match="matches no Resize node"):
        Select("conv").nodes(graph, "Resize")
