"""Stand-ins for NVIDIA's commands, and a model for them."""

import sys

import onnx
import pytest
from graphs import parse

from fastscnn_opt.targets.tensorrt import trtexec

TRTEXEC = """
import json, os, pathlib, sys, time
options = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
release = os.environ.get("FAKE_RELEASE", "v8401")
print(f"&&&& RUNNING TensorRT.trtexec [TensorRT {release}] # trtexec")
if release.startswith("v11") and {"fp16", "int8", "best"} & set(options):
    print("[07/20/2026-01:49:12] [E] Unknown option: --fp16")
    sys.exit(1)
behaviour = os.environ.get("FAKE_TRTEXEC", "succeed")
if behaviour == "hang" and "saveEngine" in options:
    time.sleep(600)
if behaviour == "fail":
    print("[07/20/2021-01:49:12] [W] [TRT] Your ONNX model has been generated with INT64 weights.")
    print("[07/20/2021-01:49:12] [E] [TRT] ModelImporter.cpp:773: While parsing node number 3 [AdaptiveAvgPool2d]:")
    print("[07/20/2021-01:49:12] [E] Engine could not be created from network")
    sys.exit(1)
if "saveEngine" in options and behaviour != "nothing":
    pathlib.Path(options["saveEngine"]).write_text(" ".join(sorted(sys.argv[1:])))
if "exportOutput" in options:
    import numpy as np
    image = np.fromfile(options["loadInputs"].partition(":")[2], dtype=np.float32)
    label = {"name": "label", "dimensions": "1x4x6", "values": image[:24].astype(int).tolist()}
    pathlib.Path(options["exportOutput"]).write_text(json.dumps([label]))
if "exportTimes" in options:
    runs = [{"startComputeMs": 1.0, "computeMs": 6.0 + index} for index in range(int(options["iterations"]) + 2)]
    pathlib.Path(options["exportTimes"]).write_text(json.dumps(runs))
"""

NVIDIA_SMI = "print('Tesla T4, 450.80.02')"


@pytest.fixture
def tools(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(trtexec, "_CONTAINER_PATH", str(folder / "nothing"))
    for name, script in (("trtexec", TRTEXEC), ("nvidia-smi", NVIDIA_SMI)):
        (folder / name).write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def compiled(tmp_path):
    def build(target, batch="1"):
        file = tmp_path / "model.onnx"
        onnx.save(
            parse(
                f"net (float[{batch},3,4,6] image)"
                f" => (int32[{batch},4,6] label)"
                "{ first = ReduceMax<axes = [1], keepdims = 0>(image) label = Cast<to = 6>(first) }"
            ),
            file,
        )
        target.compile(file, tmp_path / "M.engine", tmp_path / "M.log")
        return tmp_path / "M.engine"

    return build
