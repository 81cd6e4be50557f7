"""Exported models beside their checkpoints in torch."""

import sys

import numpy as np
import onnx
import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import CheckpointError, GateError, ModelError
from fastscnn_opt.network.checking import GENERATED, check_export
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.network.layouts import MMSEGMENTATION_2020, SEGMENTRON, TRAMAC
from fastscnn_opt.network.model_file import export_to_file

pytest.importorskip("torch", reason="the check needs torch")


@pytest.fixture
def damaged(write_checkpoint, tmp_path):
    """Export a checkpoint, add to the last bias of class 3, and check the file."""

    def check(added):
        checkpoint, file = write_checkpoint(TRAMAC), tmp_path / "n.onnx"
        export_to_file(checkpoint, file, shape=(1, 64, 96))
        model = onnx.load(file)
        bias = next(tensor for tensor in model.graph.initializer if tensor.name == "classifier.conv.bias")
        values = onnx.numpy_helper.to_array(bias).copy()
        values[3] += added
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        onnx.save(model, file)
        return check_export(checkpoint, file, GENERATED, outputs=Outputs.MAIN, stem_padding=None)

    return check


@pytest.mark.parametrize(
    ("layout", "options"),
    [(SEGMENTRON, {"outputs": Outputs.ALL}), (MMSEGMENTATION_2020, {"stem_padding": 0})],
    ids=str,
)
def test_an_export_is_what_its_checkpoint_computes(write_checkpoint, tmp_path, layout, options):
    source = DataSource(synthetic=3)  # which do not fill the last batch
    made = export_to_file(write_checkpoint(layout), tmp_path / "n.onnx", shape=(2, 64, 96), check=source, **options)
    model = onnx.load(tmp_path / "n.onnx")
    assert [output.output for output in made.check.outputs] == [output.name for output in model.graph.output]
    assert (made.check.passed, made.check.images) == (True, 3)
    assert min(output.same_labels for output in made.check.outputs) > 0.999


def test_another_result_is_measured(damaged):
    found = damaged(np.float32(1e4))
    (output,) = found.outputs
    assert not found.passed
    assert output.max_abs_diff == pytest.approx(1e4, rel=1e-3)
    assert output.max_rel_diff > 1
    assert output.same_labels < 1
    with pytest.raises(GateError, match=r"n\.onnx: output1 deviates from the checkpoint by .* 0\.0001 is allowed"):
        found.require("n.onnx")


def test_a_result_that_is_not_a_number_fails(damaged):
    found = damaged(np.float32("nan"))
    assert not found.passed
    assert found.to_json()["outputs"][0]["max_abs_diff"] is None


def test_a_missing_torch_is_found_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CheckpointError, match=r"p\.pdparams: the check of its export needs torch; install it with"):
        export_to_file(tmp_path / "p.pdparams", tmp_path / "n.onnx", check=GENERATED)
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_are_named(write_checkpoint, tmp_path, add_pair):
    add_pair("ulm_000000_000019", size=(32, 32))
    with pytest.raises(ModelError, match=r"n\.onnx on .*ulm_000000_000019.*: input 'image' takes 64 x 64, but"):
        export_to_file(
            write_checkpoint(TRAMAC), tmp_path / "n.onnx", shape=(1, 64, 64), check=DataSource(str(tmp_path))
        )
