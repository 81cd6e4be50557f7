"""fp16-output: which outputs become float16, and that nothing else changes."""

import numpy as np
import onnx
import pytest
from graphs import parse, random_input, run
from onnx import TensorProto

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager


def output_types(model: onnx.ModelProto) -> dict[str, int]:
    return {output.name: output.type.tensor_type.elem_type for output in model.graph.output}


def skips(result) -> dict[str, str]:
    return {skip.node: skip.why for skip in result.steps[0].skips}


def test_float_outputs_are_rounded_to_float16_under_their_names(segmenter, rewrite):
    model = PassManager("adaptive-avgpool").run(segmenter).model
    result = rewrite(model, "fp16-output")
    assert output_types(result.model) == {"output1": TensorProto.FLOAT16, "output2": TensorProto.FLOAT16}
    x = random_input(1, 3, 32, 64)
    for half, single in zip(run(result.model, x), run(model, x), strict=True):
        np.testing.assert_array_equal(half, single.astype(np.float16))


def test_its_contract_is_rounding_and_is_kept(segmenter, rewrite):
    step = rewrite(segmenter, "fp16-output").steps[0]
    assert (step.contract, step.verified) == (Contract.ROUNDING, True)
    assert [(change.node, change.what) for change in step.changes] == [
        ("output1", "float32 -> float16"),
        ("output2", "float32 -> float16"),
    ]


def test_float64_is_converted_too(rewrite):
    result = rewrite(parse("g (double[1,2] x) => (double[1,2] y) { y = Relu(x) }"), "fp16-output")
    assert [change.what for change in result.steps[0].changes] == ["float64 -> float16"]


@pytest.mark.parametrize(
    ("onnx_type", "why"),
    [
        ("float16", "is float16 already"),
        ("int64", "is int64, not float32 or float64"),
        ("uint8", "is uint8, not float32 or float64"),
        ("bfloat16", "is bfloat16, not float32 or float64"),
    ],
)
def test_other_types_are_left_alone(onnx_type, why):
    model = parse(f"g ({onnx_type}[1,2] x) => ({onnx_type}[1,2] y) {{ y = Identity(x) }}")
    result = PassManager("fp16-output", verify=False).run(model)
    assert result.steps[0].changes == []
    assert skips(result) == {"y": why}


def test_an_output_that_no_node_makes_is_left_alone(rewrite):
    model = parse("g (float[1,2] x) => (float[1,2] c, float[1,2] y) <float[1,2] c = {1, 2}> { y = Relu(x) }")
    assert skips(rewrite(model, "fp16-output")) == {"c": "is no result of a node"}


def test_a_node_that_reads_an_output_reads_it_unrounded(rewrite):
    model = parse("g (float[2] x) => (float[2] y, float[2] z) { y = Relu(x) z = Sub(y, x) }")
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT
    x = np.array([1 / 3, -1 / 3], dtype=np.float32)
    _, difference = run(rewrite(model, "fp16-output").model, x)
    np.testing.assert_array_equal(difference, np.array([0, 1 / 3], dtype=np.float16))


def test_values_beyond_float16_are_refused_with_their_size():
    model = parse("g (float[1,1] x) => (float[1,1] y) <float[1] zero = {0}, float[1] big = {1000000.0}> "
                  "{ z = Mul(x, zero) y = Add(z, big) }")  # fmt: skip
    with pytest.raises(PassError, match="output 'y' reaches 1e\\+06, and float16 ends at 65504"):
        PassManager("fp16-output").run(model)
