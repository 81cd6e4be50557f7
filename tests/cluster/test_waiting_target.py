"""The target that the other tests take in place of an engine."""

import json

import numpy as np

from fastscnn_opt.data.preprocess import MEAN, STD
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.scoring.one_model import evaluate
from fastscnn_opt.targets.spec import TargetSpec


def test_its_accuracy_is_that_of_the_convolution_and_its_runs_are_recorded(waiting, tmp_path):
    import onnx

    waiting.write_model(tmp_path / "net.onnx", seed=3)
    write_cityscapes(tmp_path / "tree", "val", range(2), height=32, width=64)
    record = tmp_path / "record"
    target = TargetSpec("waiting", {"image_ms": 20, "record": str(record), "label": "a"})
    found = evaluate(tmp_path / "net.onnx", tmp_path / "tree", target)

    (weights,) = onnx.load(tmp_path / "net.onnx").graph.initializer
    right = total = 0
    scenes = DataSource(str(tmp_path / "tree")).open()
    for sample in map(scenes.load, range(len(scenes))):
        image = ((sample.image / 255 - MEAN) / STD).astype(np.float32)
        predicted = np.tensordot(image, onnx.numpy_helper.to_array(weights)[:, :, 0, 0], (2, 1)).argmax(-1)
        labelled = sample.label < 19
        right += (predicted == sample.label)[labelled].sum()
        total += labelled.sum()
    assert abs(found.accuracy.pixAcc - right / total) * total < 2

    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(line["what"], line["label"], line["images"]) for line in lines] == [("run", "a", 1)] * 2
    assert all(line["end"] - line["start"] >= 0.02 for line in lines)
