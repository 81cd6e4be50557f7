"""Pipelines on model files: the files that are written, and the settings of Python's garbage collector afterwards."""

import gc

import numpy as np
import onnx
import pytest
from graphs import parse

from fastscnn_opt.errors import ModelError, PassError, PipelineError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.applying import apply_to_file, plan_for_file


@pytest.fixture
def model_file(tiny_model, tmp_path):
    save_model(tiny_model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_the_written_model_is_the_one_that_is_returned(model_file, tmp_path):
    result = apply_to_file(model_file, "fp16-output", tmp_path / "out.onnx")
    assert load_model(tmp_path / "out.onnx") == result.model


def test_a_plan_has_the_changes_and_writes_nothing(model_file, tmp_path):
    (step,) = plan_for_file(model_file, "fp16-output").steps
    assert [change.node for change in step.changes] == ["output1"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_the_model_is_not_written_over_itself_under_another_name(model_file, tmp_path):
    (tmp_path / "link.onnx").symlink_to(model_file)
    with pytest.raises(ModelError, match="is the model itself"):
        apply_to_file(model_file, "fp16-output", tmp_path / "link.onnx")


def test_a_dump_is_not_written_over_the_model(tiny_model, tmp_path):
    save_model(tiny_model, tmp_path / "01-fp16-output.onnx")
    with pytest.raises(ModelError, match=r"01-fp16-output\.onnx: is the model itself"):
        apply_to_file(tmp_path / "01-fp16-output.onnx", "fp16-output", tmp_path / "out.onnx", dump=tmp_path)


def test_weights_of_the_model_are_not_written_over(tmp_path):
    settings = {"location": "out.onnx.data", "size_threshold": 0}
    model = parse("g (float[2,2] x) => (float[2,2] y) { y = MatMul(x, w) }", w=np.eye(2, dtype=np.float32))
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, **settings)
    with pytest.raises(ModelError, match=r"out\.onnx\.data: holds weights of .*m\.onnx"):
        apply_to_file(tmp_path / "m.onnx", "fp16-output", tmp_path / "out.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "out.onnx.data"]


def test_a_mistake_in_the_pipeline_is_found_before_the_model_is_read(tmp_path):
    with pytest.raises(PipelineError, match="unknown pass"):
        apply_to_file(tmp_path / "missing.onnx", "no-such-pass", tmp_path / "out.onnx")


def test_the_garbage_collector_is_left_as_it_was(model_file):
    before = gc.get_threshold()
    plan_for_file(model_file, "fp16-output")
    assert gc.get_threshold() == before


def test_the_garbage_collector_is_left_as_it_was_after_an_error(model_file):
    before = gc.get_threshold()
    with pytest.raises(PassError):
        plan_for_file(model_file, "drop-outputs{keep=missing}")
    assert gc.get_threshold() == before
