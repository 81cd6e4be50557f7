"""What reproduces a crash: the model with its weights, and the command."""

import numpy as np
import onnx
from graphs import parse

from fastscnn_opt.model.external_data import values_of
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.reproducing import keep_reproducer


def test_the_copy_is_a_whole_model(tmp_path):
    model = parse("g (float[400] x) => (float[400] y) { y = Add(x, w) }", w=np.arange(400, dtype=np.float32))
    (tmp_path / "net" / "weights").mkdir(parents=True)
    file = tmp_path / "net" / "m.onnx"
    onnx.save(model, file, save_as_external_data=True, location="weights/w", size_threshold=0)
    text = keep_reproducer(file, ["lint", str(file), "--target", "onnx runtime"], tmp_path / "kept")
    (folder,) = (tmp_path / "kept").iterdir()
    assert text == f"the model and command.txt, which reproduce it, are in {folder}"
    assert (folder / "command.txt").read_text() == "fastscnn-opt lint m.onnx --target 'onnx runtime'\n"
    assert values_of(load_model(folder / "m.onnx").graph.initializer[0])[399] == 399


def test_files_outside_the_folder_of_the_model_are_not_copied(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(1600))
    (tmp_path / "net").mkdir()
    model = parse("g (float[400] x) => (float[400] y) { y = Add(x, w) }", w=np.arange(400, dtype=np.float32))
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="../secret")
    (tmp_path / "net" / "m.onnx").write_bytes(model.SerializeToString())
    keep_reproducer(tmp_path / "net" / "m.onnx", ["lint", "m.onnx"], tmp_path / "kept")
    assert sorted(file.name for file in tmp_path.glob("kept/*/*")) == ["command.txt", "m.onnx"]


def test_a_copy_that_the_system_refuses_does_not_hide_the_crash(tmp_path, files_of_at_most):
    onnx.save(parse("g (float[4] x) => (float[4] y) { y = Sin(x) }"), tmp_path / "m.onnx")
    with files_of_at_most(16):
        text = keep_reproducer(tmp_path / "m.onnx", ["lint", "m.onnx"])
    assert text.startswith("what reproduces it cannot be kept (")
