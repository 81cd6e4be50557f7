"""Vendor tools in small: scripts on the PATH that take the options, write the files and print the words of those."""

import os
import sys
from pathlib import Path

import onnx
import pytest

from fastscnn_opt.ascend import toolkit

ATC = """
import json, os, pathlib, signal, sys, time
options = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
print("ATC start working now, please wait for a moment.", flush=True)
behaviour = os.environ.get("FAKE_ATC", "succeed")
if behaviour == "fail":
    print("ATC run failed, Please check the detail log, Try 'atc --help' for more information")
    print("E10001: Value [-1] for parameter [image] is invalid. "
          "Reason: maybe you should set input_shape to specify its shape.")
    sys.exit(255)
if behaviour == "hang":
    time.sleep(600)
if behaviour == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path("fusion_result.json").write_text("{}")
if behaviour != "nothing":
    config = options.get("insert_op_conf")
    options["aipp"] = pathlib.Path(config).read_text() if config else None
    suffix = "_linux_x86_64.om" if behaviour == "newer" else ".om"
    pathlib.Path(options["output"] + suffix).write_text(json.dumps(options))
print("ATC run success, welcome to the next use.")
print("W11001: High-priority service of op[PartitionedCall] is invalid, low-priority service is used.")
"""

DOUBLE = """
import numpy as np
def double(path):
    return (2 * np.fromfile(path, dtype=np.float32)).astype(np.float16)
"""
"""What every fake runner computes: output 0 is twice the input, as float16; output 1 its first value, for 2 samples."""

AIS_BENCH = (
    DOUBLE
    + """
import argparse, json, os, pathlib, sys
assert sys.argv[1:3] == ["-m", "ais_bench"], sys.argv
joint = os.environ["FAKE_AIS_BENCH"]
parser = argparse.ArgumentParser(allow_abbrev=False)
for name in ("model", "input", "output", "outfmt", "device", "batchsize", "loop", f"output{joint}dirname",
             f"warmup{joint}count"):
    parser.add_argument("--" + name, dest=name.replace("-", "_"))
options = parser.parse_args(sys.argv[3:])
if os.environ.get("FAKE_DEVICE") == "lost":
    print("[INFO] acl init success")
    print("[ERROR] aclrtSetDevice failed, device id is 0")
    sys.exit(1)
if options.output:
    folder = pathlib.Path(options.output) / options.output_dirname
    folder.mkdir(parents=True)
    first = pathlib.Path(options.input.split(",")[0])
    result = double(first)
    result.tofile(folder / f"{first.stem}_0.bin")
    result[:: result.size // 2].tofile(folder / f"{first.stem}_1.bin")
print("[INFO] -----------------Performance Summary------------------")
print("[INFO] NPU_compute_time (ms): min = 2.47, max = 3.93, mean = 3.55, median = 3.72, percentile(99%) = 3.93")
print("[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(3.55): 281.38")
"""
)

MSAME = (
    DOUBLE
    + """
import pathlib, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
first = pathlib.Path(options["--input"].split(",")[0])
folder = pathlib.Path(options["--output"]) / "20210720_014912"
folder.mkdir()
result = double(first)
result.tofile(folder / f"{first.stem}_output_0.bin")
result[:: result.size // 2].tofile(folder / f"{first.stem}_output_1.bin")
print("Inference average time : 4.50 ms")
print("Inference average time without first time: 4.25 ms")
"""
)

BENCHMARK = (
    DOUBLE
    + """
import pathlib, sys
options = dict(argument[1:].split("=", 1) for argument in sys.argv[1:])
if "round" in options:
    print("[INFO] ave_throughputRate: 1.22321samples/s, ave_latency: 817.799ms")
else:
    folder = pathlib.Path("result") / f"dumpOutput_device{options['device_id']}"
    folder.mkdir(parents=True)
    for number, line in enumerate(open(options["input_text_path"])):
        index, path, width, height = line.split()
        assert (int(index), width, height) == (number, options["input_width"], options["input_height"])
        result = double(path)
        result.tofile(folder / f"{pathlib.Path(path).stem}_1.bin")
        result[:1].tofile(folder / f"{pathlib.Path(path).stem}_2.bin")
"""
)

NPU_SMI = """
print("+-------------------------------------------------------------------+")
print("| npu-smi 21.0.2                   Version: 21.0.2                    |")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a script on the PATH, which then holds nothing else: ``install("atc", ATC)`` returns its file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("ASCEND_HOME_PATH", raising=False)
    # What the machine of the test has of the real toolkit must not show.
    monkeypatch.setattr(toolkit, "DEFAULT_FOLDER", folder / "toolkit")
    monkeypatch.setattr(toolkit, "_DEVICE_FILES", folder)
    monkeypatch.setitem(sys.modules, "ais_bench", None)

    def put(name: str, script: str) -> Path:
        file = folder / name
        file.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
        file.chmod(0o755)
        return file

    return put


@pytest.fixture
def all_tools(install, monkeypatch: pytest.MonkeyPatch):
    """Install every tool; the way to run a compiled file is chosen by option."""
    benchmark = "benchmark.aarch64" if os.uname().machine in ("aarch64", "arm64") else "benchmark.x86_64"
    tools = {"atc": ATC, "python3": AIS_BENCH, "msame": MSAME, benchmark: BENCHMARK, "npu-smi": NPU_SMI}
    for name, script in tools.items():
        install(name, script)
    monkeypatch.setenv("FAKE_AIS_BENCH", "_")


@pytest.fixture
def model_file(tmp_path: Path):
    """Save the model in ONNX text form, or a small one with two float16 outputs, and return the file."""
    text = """
        <ir_version: 8, opset_import: ["" : 13]>
        halves (float[2,3,4,6] image) => (float16[2,3,4,6] logits, float16[2,1] first)
        <float[1] two = {2}, int64[3] from = {0, 0, 0}, int64[3] to = {1, 1, 1}, int64[3] axes = {1, 2, 3}>
        {
            [twice] doubled = Mul(image, two)
            [cast] logits = Cast<to = 10>(doubled)
            [slice] part = Slice(logits, from, to, axes)
            [flatten] first = Flatten<axis = 1>(part)
        }
    """

    def save(text: str = text, name: str = "model.onnx") -> Path:
        file = tmp_path / name
        onnx.save(onnx.parser.parse_model(text), file)
        return file

    return save
