"""A second run of a pass changes nothing: the test models of the onnx package of some operators and networks."""

import contextlib
import importlib
import pkgutil
import warnings
from pathlib import Path

import onnx
import pytest
from onnx.backend.test.case import node as operators

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.rewriting.manager import PassManager

OPERATORS = ("softmaxcrossentropy", "groupnormalization", "meanvariancenormalization")
"""Operators that ONNX also writes out as functions of many nodes, without the '_' that newer versions have."""

PASSES = (
    "remove-noops",
    "fp16{samples=0}",
    "fp16{samples=0 keep_io=inputs keep_ops=Relu|Add|Mul}",
    "fp16{samples=0 keep_io=outputs keep_ops=Conv|Concat|Div}",
    "fold-batchnorm",
    "large-avgpool{area=0}",
    "conv-before-concat{every=true}",
    "conv-before-resize",
)


def again(model: onnx.ModelProto, text: str) -> list[str]:
    """Return what a second run of a pass changes."""
    result = PassManager(text, verify=False).run(model).model
    return [str(change) for change in PassManager(text, verify=False).run(result).steps[0].changes]


@pytest.fixture(scope="module")
def written_out() -> list[onnx.ModelProto]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.iter_modules(operators.__path__, f"{operators.__name__}."):
            if module.name.rpartition(".")[2].replace("_", "").startswith(OPERATORS):
                importlib.import_module(module.name)
        cases = operators._NodeTestCases  # what is public generates the cases of all operators, which takes 20 s
    return [case.model for case in cases if case.name.endswith(("log_prob_expanded", "n_expanded", "e_expanded"))]


@pytest.mark.parametrize("text", PASSES)
def test_operators_that_are_written_out(written_out, text):
    assert len(written_out) > 10
    assert {model.graph.name: found for model in written_out if (found := again(model, text))} == {}


@pytest.fixture(scope="module")
def converted() -> dict[str, onnx.ModelProto]:
    models = {}
    for file in sorted(Path(onnx.__file__).parent.glob("backend/test/data/pytorch-*/*/model.onnx"))[::6]:
        with contextlib.suppress(ModelError):  # a few cannot be converted to a newer opset
            models[file.parent.name] = load_model(file)
    return models


@pytest.mark.parametrize("text", PASSES)
def test_converted_layers_and_small_networks(converted, text):
    assert len(converted) > 10
    assert {name: found for name, model in converted.items() if (found := again(model, text))} == {}
