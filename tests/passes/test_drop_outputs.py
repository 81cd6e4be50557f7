"""drop-outputs: what stays, what goes with an output, and unknown names."""

import numpy as np
import pytest
from graphs import parse, random_input, run

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.manager import PassManager


def names(model) -> list[str]:
    return [output.name for output in model.graph.output]


def nodes(model) -> set[str]:
    return {node.name for node in model.graph.node}


def weights(model) -> set[str]:
    return {tensor.name for tensor in model.graph.initializer}


def test_the_first_output_stays_by_default(segmenter, rewrite):
    result = rewrite(segmenter, "drop-outputs")
    assert names(result.model) == ["output1"]
    assert nodes(segmenter) - nodes(result.model) == {"aux", "aux_up"}
    assert weights(segmenter) - weights(result.model) == {"w_aux"}


def test_it_reports_what_went_and_what_stayed(segmenter, rewrite):
    step = rewrite(segmenter, "drop-outputs").steps[0]
    assert [(change.node, change.what) for change in step.changes] == [
        ("output2", "output dropped, and 2 nodes that only it needed")
    ]
    assert [(skip.node, skip.why) for skip in step.skips] == [("output1", "is the first output")]


def test_what_stays_computes_what_it_did(segmenter, rewrite):
    x = random_input(1, 3, 32, 64)
    result = rewrite(segmenter, "drop-outputs{keep=output2}")
    assert result.steps[0].verified is True
    np.testing.assert_array_equal(run(result.model, x)[0], run(segmenter, x)[1])
    assert nodes(result.model) == {"stem", "stem_norm", "stem_relu", "aux", "aux_up"}


def test_keeping_every_output_changes_nothing(segmenter, rewrite):
    result = rewrite(segmenter, "drop-outputs{keep=output2|output1}")
    assert result.model.SerializeToString() == segmenter.SerializeToString()
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [
        ("output1", "is named by keep"),
        ("output2", "is named by keep"),
    ]


def test_a_single_output_is_left_alone(rewrite):
    result = rewrite(parse("g (float[2] x) => (float[2] y) { y = Relu(x) }"), "drop-outputs")
    assert result.steps[0].changes == []


def test_an_unused_input_stays(rewrite):
    model = parse("g (float[2] x, float[2] z) => (float[2] y, float[2] w) { y = Relu(x) w = Relu(z) }")
    result = rewrite(model, "drop-outputs")
    assert [value.name for value in result.model.graph.input] == ["x", "z"]


def test_an_unknown_name_is_an_error_with_the_nearest(segmenter):
    message = r"keep=outptu2: is not an output of the graph; did you mean 'output2'\?"
    with pytest.raises(PassError, match=message):
        PassManager("drop-outputs{keep=output1|outptu2}").run(segmenter)
