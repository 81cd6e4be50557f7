"""trtexec: command lines, both dialects of its report, what it writes, and the target around it."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import parse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets import tensorrt
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.targets.signature import Signature
from fastscnn_opt.targets.tensorrt import (
    REPORT,
    TensorRt,
    build_command,
    parse_mean_ms,
    parse_outputs,
    parse_times,
    run_command,
)

STAMP = "[07/20/2021-01:49:12] [I] "
OLD = [
    "Host Latency", "min: 9.9716 ms (end to end 10.17 ms)", "mean: 9.0049 ms (end to end 10.226 ms)",
    "throughput: 0 qps", "walltime: 3.16903 s",
    "Enqueue Time", "min: 0.776001 ms", "max: 1.37109 ms", "median: 0.811768 ms",
    "GPU Compute", "min: 6.1626 ms", "max: 6.18018 ms", "mean: 6.17022 ms", "median: 6.17062 ms",
    "percentile: 6.18018 ms at 99%", "total compute time: 0.265319 s",
]  # fmt: skip
NEW = """\
=== Performance summary ===
Throughput: 162.1 qps
Latency: min = 7.1 ms, max = 7.3 ms, mean = 7.2 ms, median = 7.2 ms, percentile(99%) = 7.3 ms
Enqueue Time: min = 0.01 ms, max = 0.05 ms, mean = 0.01 ms, median = 0.01 ms, percentile(99%) = 0.04 ms
GPU Compute Time: min = 6.16 ms, max = 6.18 ms, mean = 6.17 ms, median = 6.165 ms, percentile(90%) = 6.17 ms, \
percentile(99%) = 6.175 ms
D2H Latency: min = 0.1 ms, max = 0.3 ms, mean = 0.2 ms, median = 0.2 ms, percentile(99%) = 0.3 ms
Total GPU Compute Time: 2.99956 s
""".splitlines()


@pytest.mark.parametrize(("lines", "mean_ms"), [(OLD, 6.17022), (NEW, 6.17)], ids=["old", "new"])
@pytest.mark.parametrize("end", ["\n", ""], ids=["lines", "run together"])
def test_both_dialects_are_read(lines, mean_ms, end):
    assert parse_mean_ms("".join(STAMP + line + end for line in lines)) == mean_ms


def test_a_log_without_stamps_is_read():
    assert parse_mean_ms("\n".join(NEW)) == 6.17


def test_a_wrapped_line_is_read():
    wrapped = (
        "[05/13/2022-16:53:32]\n[I] GPU Compute Time:\nmin = 0.5 ms,\nmax = 2.9 ms,\nmean = 0.55392 ms,\n"
        "median = 0.54 ms,\npercentile(99%) = 0.69 ms\n"
    )
    assert parse_mean_ms(wrapped) == 0.55392


def test_the_last_report_counts():
    assert parse_mean_ms("\n".join([*NEW[:-1], *OLD])) == 6.17022


def test_a_mean_in_scientific_notation_is_read():
    assert parse_mean_ms("\n".join(NEW).replace("mean = 6.17 ms", "mean = 2.54521e+03 ms")) == 2545.21


@pytest.mark.parametrize("figure", ["6.17x", "6_17", "nan", "1+15", "0", "-6.17"])
def test_a_mean_that_is_no_time_is_refused(figure):
    with pytest.raises(TargetError, match=f"the mean GPU compute time is {re.escape(repr(figure))}, not a number"):
        parse_mean_ms("\n".join(NEW).replace("mean = 6.17 ms", f"mean = {figure} ms"))


@pytest.mark.parametrize("log", ["", "[I] Total GPU Compute Time: 2.99956 s", "\n".join(OLD[:12]), "\n".join(NEW[:4])])
def test_a_log_without_times_is_refused(log):
    with pytest.raises(TargetError, match="reported no GPU compute time"):
        parse_mean_ms(log)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with pytest.raises(TargetError):
        parse_mean_ms(text)


@pytest.mark.parametrize(("mean_ms", "batch", "fps"), [(6.17022, 1, 162.0688), (24.0295, 4, 166.4620)])
def test_images_per_second_follow_from_the_mean_and_the_batch(mean_ms, batch, fps):
    log = "\n".join(NEW).replace("mean = 6.17 ms", f"mean = {mean_ms} ms")
    assert REPORT.read(log, "trtexec.log", batch)[0].fps == pytest.approx(fps, abs=1e-3)


def test_the_command_that_builds():
    command = build_command("trtexec", Path("M.onnx"), Path("M.engine"), fp16=True, shapes="image:1x3x1024x2048")
    assert " ".join(command) == (
        "trtexec --onnx=M.onnx --saveEngine=M.engine --fp16 --shapes=image:1x3x1024x2048 --device=0"
    )


def test_the_command_that_builds_in_full_precision():
    command = build_command("trtexec", Path("M.onnx"), Path("M.engine"), fp16=False, device=1)
    assert " ".join(command) == "trtexec --onnx=M.onnx --saveEngine=M.engine --device=1"


def test_the_command_that_runs():
    inputs = [("image", Path("a.bin")), ("input:0", Path("b.bin"))]
    command = run_command("trtexec", Path("M.engine"), inputs, "--exportTimes=t.json", iterations=20)
    assert " ".join(command) == (
        "trtexec --loadEngine=M.engine --loadInputs=image:a.bin,'input:0':b.bin --iterations=20 --duration=0 "
        "--device=0 --exportTimes=t.json"
    )


def exported(outputs):
    entries = (
        f'{{ "name" : {json.dumps(name)}\n, "dimensions" : "{"x".join(map(str, array.shape))}"\n'
        f', "values" : [ {", ".join(f"{value:.6g}" for value in array.ravel())} ]\n}}'
        for name, array in outputs.items()
    )
    return "[ " + ", ".join(entries) + " ]"


@given(
    st.dictionaries(
        st.text(min_size=1),
        arrays.arrays(
            np.float16, arrays.array_shapes(max_side=3), elements=st.floats(-1e4, 1e4, width=16) | st.just(np.inf)
        ),
        max_size=3,
    )
)
def test_written_outputs_are_read(outputs):
    read = parse_outputs(exported(outputs))
    assert list(read) == list(outputs)
    for name, array in outputs.items():
        np.testing.assert_array_equal(read[name].astype(np.float16), array)


@pytest.mark.parametrize("values", ["1, 2, 3", "1", "1, 2 garbage", "1, 2x", "1, 2,", "", " "])
def test_values_that_do_not_fit_their_dimensions_are_refused(values):
    with pytest.raises(TargetError, match="output 'y' that do not fit 1x2"):
        parse_outputs(f'[{{"name": "y", "dimensions": "1x2", "values": [{values}]}}]')


@pytest.mark.parametrize(
    "text", ["", "{}", "[{}]", '[{"computeMs": "6.1"}]', '[{"computeMs": 0}]', '[{"computeMs": NaN}]']
)
def test_times_that_are_no_numbers_are_refused(text):
    with pytest.raises(TargetError, match=r"^trtexec: wrote no times"):
        parse_times(text)


TRTEXEC = """
import json, os, pathlib, sys, time
import numpy as np
options = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
print("&&&& RUNNING TensorRT.trtexec [TensorRT v8401] # trtexec")
behaviour = os.environ.get("FAKE_TRTEXEC", "succeed")
if behaviour == "hang":
    time.sleep(600)
if behaviour == "fail":
    print("[07/20/2021-01:49:12] [W] [TRT] Your ONNX model has been generated with INT64 weights.")
    print("[07/20/2021-01:49:12] [E] [TRT] ModelImporter.cpp:773: While parsing node number 3 [AdaptiveAvgPool2d]:")
    print("[07/20/2021-01:49:12] [E] Engine could not be created from network")
    sys.exit(1)
if "saveEngine" in options and behaviour != "nothing":
    pathlib.Path(options["saveEngine"]).write_text(" ".join(sorted(sys.argv[1:])))
if "exportOutput" in options:
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
    monkeypatch.setattr(tensorrt, "_CONTAINER_PATH", str(folder / "nothing"))
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


IMAGE = np.arange(72, dtype=np.float32).reshape(1, 3, 4, 6)


@pytest.mark.usefixtures("tools")
def test_an_engine_is_built_with_its_signature(compiled):
    engine = compiled(TensorRt())
    assert "--fp16" in engine.read_text()
    assert "--shapes" not in engine.read_text()
    assert Signature.load(engine).outputs == (TensorSpec("label", (1, 4, 6), "int32"),)


@pytest.mark.usefixtures("tools")
def test_open_dimensions_are_fixed_by_the_option(compiled):
    engine = compiled(TensorRt(shapes="image:2x3x4x6"), batch="N")
    assert "--shapes=image:2x3x4x6" in engine.read_text()
    assert Signature.load(engine).outputs == (TensorSpec("label", (2, 4, 6), "int32"),)


@pytest.mark.usefixtures("tools")
def test_open_dimensions_are_refused_with_the_cure(compiled):
    with pytest.raises(TargetError, match=r"'image' leaves dimension 0 open; run .* or give the target option shapes"):
        compiled(TensorRt(), batch="N")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (
            "fail",
            r"^trtexec: ModelImporter.cpp:773: While parsing node number 3 \[AdaptiveAvgPool2d\]: \(log: .*M.log\)",
        ),
        ("nothing", r"^trtexec: reported success, but wrote no engine \(log: "),
    ],
)
def test_a_failed_build_is_one_sentence(compiled, monkeypatch, behaviour, sentence):
    monkeypatch.setenv("FAKE_TRTEXEC", behaviour)
    with pytest.raises(TargetError, match=sentence):
        compiled(TensorRt())


@pytest.mark.usefixtures("tools")
def test_a_build_without_an_end_is_ended(compiled, monkeypatch):
    monkeypatch.setenv("FAKE_TRTEXEC", "hang")
    with pytest.raises(TargetError, match=r"^trtexec: not done after 0.5 s and was ended"):
        compiled(TensorRt(limit_s=0.5))


@pytest.mark.usefixtures("tools")
def test_outputs_are_read_by_name(compiled):
    session = TensorRt().open(compiled(TensorRt()))
    expected = np.arange(24, dtype=np.int32).reshape(1, 4, 6)
    np.testing.assert_array_equal(session.run({"image": IMAGE})["label"], expected, strict=True)


@pytest.mark.usefixtures("tools")
def test_latencies_are_those_on_the_gpu(compiled):
    time = TensorRt().open(compiled(TensorRt())).timer({"image": IMAGE})
    assert time(3) == [8.0, 9.0, 10.0]  # trtexec may run more often than asked: the last ones count


@pytest.mark.usefixtures("tools")
def test_what_an_engine_depends_on_is_named():
    assert TensorRt().tool_versions() == {"tensorrt": "TensorRT v8401", "gpu": "Tesla T4, 450.80.02"}
    assert TensorRt(device=1).tool_versions()["gpu"] == "unknown"
    assert TensorRt().availability().version == "TensorRT v8401"


@pytest.mark.parametrize(
    ("gone", "what"), [("trtexec", "trtexec is not on the PATH"), ("nvidia-smi", "there is no NVIDIA GPU")]
)
def test_what_is_missing_is_named_with_its_cure(tools, gone, what):
    (tools / gone).unlink()
    reason = TensorRt().availability().reason
    assert what in reason
    assert "install" in reason


def test_without_trtexec_building_says_how_to_get_it(tools, compiled):
    (tools / "trtexec").unlink()
    with pytest.raises(TargetError, match="target tensorrt: trtexec is not on the PATH; install"):
        compiled(TensorRt())


@pytest.mark.usefixtures("tools")
def test_a_missing_engine_is_named(tmp_path):
    with pytest.raises(TargetError, match="no such engine"):
        TensorRt().open(tmp_path / "M.engine")


def test_a_wrong_option_is_refused():
    with pytest.raises(TargetError, match=r"shapes takes a text written as name:1x3x1024x2048,\.\.\., not 'image'"):
        get_target("tensorrt", {"shapes": "image"})
