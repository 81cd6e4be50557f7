"""All passes one after another, in many orders, on one network."""

import random

import numpy as np
import onnx
import pytest

from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.registry import entry_points, pass_class

PASSES = {
    "adaptive-avgpool": "adaptive-avgpool",
    "argmax-output": "argmax-output",
    "drop-outputs": "drop-outputs{keep=output1}",
    "fp16": "fp16{keep_io=inputs}",
    "fp16-output": "fp16-output",
    "large-avgpool": "large-avgpool{area=0}",
    "resize-nearest": "resize-nearest{only=head}",
    "simplify": "simplify",
    "static-batch": "static-batch{n=2}",
}
SHUFFLE = random.Random(5)
ORDERS = [SHUFFLE.sample(list(PASSES.values()), len(PASSES)) for _ in range(12)]


def test_every_built_in_pass_is_here():
    built_in = [name for name, point in entry_points().items() if point.value.startswith("fastscnn_opt.passes.")]
    assert sorted(PASSES) == built_in


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(text.split("-")[0] for text in order))
def test_any_order_keeps_every_contract(segmenter, rewrite, order):
    result = rewrite(segmenter, ",".join(order))
    assert all(step.verified is not False for step in result.steps)
    (output,) = result.model.graph.output
    assert output.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_value for dim in output.type.tensor_type.shape.dim] == [2, 32, 64]


@pytest.mark.parametrize("order", ORDERS[:4], ids=lambda order: "-".join(text.split("-")[0] for text in order))
def test_without_the_lossy_pass_the_labels_stay(segmenter, rewrite, run, image, order):
    exact = [text for text in order if not text.startswith("resize-nearest")]
    labels = run(rewrite(segmenter, ",".join(exact)).model, (x := image(2, 3, 32, 64)))[0]
    logits = np.concatenate([run(segmenter, x[index : index + 1])[0] for index in range(2)])
    assert (labels == logits.argmax(axis=1)).mean() > 0.999


def test_a_pipeline_gives_the_same_bytes_every_time(segmenter):
    text = ",".join(PASSES.values())
    first, second = (PassManager(text, verify=False).run(segmenter).model.SerializeToString() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", list(PASSES))
def test_the_manual_of_a_pass_numbers_its_rules(name):
    manual = pass_class(name).__doc__ or ""
    assert manual.splitlines()[0].endswith(".")
    assert "    1. " in manual
