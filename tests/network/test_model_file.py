"""Exported files: what they hold, and what is said of them."""

import hashlib
import json

import onnx
import pytest
from cityscapes import CLASSES

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.network.layout import Outputs, Pooling
from fastscnn_opt.network.layouts import MMSEGMENTATION
from fastscnn_opt.network.model_file import export_demo_to_file, export_to_file


@pytest.mark.parametrize(("pooling", "is_lowered"), [(Pooling.MATMUL, True), (Pooling.KEEP, False)])
def test_a_checkpoint_is_written_with_the_pooling_that_is_asked_for(write_checkpoint, tmp_path, pooling, is_lowered):
    export_to_file(write_checkpoint(), tmp_path / "n.onnx", shape=(1, 64, 128), opset=14, pooling=pooling)
    model = onnx.load(tmp_path / "n.onnx")
    assert ("AdaptiveAvgPool2d" in {node.op_type for node in model.graph.node}) != is_lowered
    assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 128]
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == 14


def test_what_is_said_of_a_file_is_true(network, tmp_path, monkeypatch):
    monkeypatch.setattr("fastscnn_opt.demo.network.demo_model", lambda: network)
    made = export_demo_to_file(tmp_path / "d.onnx", outputs=Outputs.ALL)
    assert made.sha256 == hashlib.sha256((tmp_path / "d.onnx").read_bytes()).hexdigest()
    assert made.nodes == len(onnx.load(tmp_path / "d.onnx").graph.node)


def test_a_file_tells_its_classes_and_its_preprocessing(write_checkpoint, tmp_path):
    meta = {"CLASSES": ("road", "car"), "PALETTE": [[128, 64, 128], [0, 0, 142]]}
    checkpoint = write_checkpoint(MMSEGMENTATION, classes=2, wrap=lambda state: {"meta": meta, "state_dict": state})
    made = export_to_file(checkpoint, tmp_path / "n.onnx", shape=(1, 64, 128))
    props = {prop.key: prop.value for prop in onnx.load(tmp_path / "n.onnx").metadata_props}
    assert (made.layout, made.classes, props["layout"]) == ("mmsegmentation", 2, "mmsegmentation")
    assert json.loads(props["names"]) == {"0": "road", "1": "car"}
    assert json.loads(props["fastscnn_opt.palette"]) == [[128, 64, 128], [0, 0, 142]]
    assert json.loads(props["fastscnn_opt.preprocess"])["image_mean"] == [0.485, 0.456, 0.406]


def test_the_demo_network_tells_the_classes_of_cityscapes(network, tmp_path, monkeypatch):
    monkeypatch.setattr("fastscnn_opt.demo.network.demo_model", lambda: network)
    made = export_demo_to_file(tmp_path / "d.onnx")
    told = read_metadata(tmp_path / "d.onnx")
    assert (made.classes, told.names) == (19, CLASSES)
    assert told.preprocess["image_std"] == [0.229, 0.224, 0.225]


def test_a_checkpoint_is_not_written_over(tmp_path):
    (tmp_path / "c.pth").write_bytes(b"weights")
    (tmp_path / "link.onnx").symlink_to("c.pth")
    for output in ("c.pth", "link.onnx"):
        with pytest.raises(ModelError, match="is the checkpoint itself, which stays as it is"):
            export_to_file(tmp_path / "c.pth", tmp_path / output)


def test_a_missing_folder_is_found_before_the_checkpoint_is_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing-folder"):
        export_to_file(tmp_path / "missing.pth", tmp_path / "missing-folder" / "n.onnx")
