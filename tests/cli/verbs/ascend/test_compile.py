"""The verb `compile`, from the outside."""

import json

import onnx

from fastscnn_opt.cli.main import run


def test_compile_writes_an_artefact_that_runs(capsys, model_file, tmp_path):
    out = tmp_path / "out.onnx"
    assert run(["compile", str(model_file), "-o", str(out), "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["target"], report["bytes"]) == ("onnxruntime", out.stat().st_size)
    assert [value.name for value in onnx.load(out).graph.output] == ["output1"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"m.onnx", "out.onnx"}


def test_compiling_into_a_missing_folder_is_one_sentence(capsys, model_file, tmp_path):
    assert run(["compile", str(model_file), "-o", str(tmp_path / "gone" / "out.onnx")]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_compiling_what_is_no_model_leaves_nothing_behind(capsys, tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    assert run(["compile", str(tmp_path / "noise.onnx"), "-o", str(tmp_path / "out.onnx")]) == 1
    assert "noise.onnx: not an ONNX model" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["noise.onnx"]
