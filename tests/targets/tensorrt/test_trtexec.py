"""trtexec: command lines, both dialects of its report, and what it writes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from graphs import parse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.tensorrt import trtexec
from fastscnn_opt.targets.tensorrt.building import Build, Precision
from fastscnn_opt.targets.tensorrt.trtexec import (
    REPORT,
    build_command,
    parse_means_ms,
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
    assert parse_means_ms("".join(STAMP + line + end for line in lines))[-1] == mean_ms


def test_a_log_without_stamps_is_read():
    assert parse_means_ms("\n".join(NEW))[-1] == 6.17


def test_a_wrapped_line_is_read():
    wrapped = (
        "[05/13/2022-16:53:32]\n[I] GPU Compute Time:\nmin = 0.5 ms,\nmax = 2.9 ms,\nmean = 0.55392 ms,\n"
        "median = 0.54 ms,\npercentile(99%) = 0.69 ms\n"
    )
    assert parse_means_ms(wrapped)[-1] == 0.55392


def test_the_last_report_counts():
    assert parse_means_ms("\n".join([*NEW[:-1], *OLD]))[-1] == 6.17022


def test_a_mean_in_scientific_notation_is_read():
    assert parse_means_ms("\n".join(NEW).replace("mean = 6.17 ms", "mean = 2.54521e+03 ms"))[-1] == 2545.21


@pytest.mark.parametrize("figure", ["6.17x", "6_17", "nan", "1+15", "0", "-6.17"])
def test_a_mean_that_is_no_time_is_refused(figure):
    with pytest.raises(TargetError, match=f"the mean GPU compute time is {re.escape(repr(figure))}, not a number"):
        parse_means_ms("\n".join(NEW).replace("mean = 6.17 ms", f"mean = {figure} ms"))


@pytest.mark.parametrize("log", ["", "[I] Total GPU Compute Time: 2.99956 s", "\n".join(OLD[:12]), "\n".join(NEW[:4])])
def test_a_log_without_times_is_refused(log):
    with pytest.raises(TargetError, match="reported no GPU compute time"):
        parse_means_ms(log)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with pytest.raises(TargetError):
        parse_means_ms(text)


@pytest.mark.parametrize(("mean_ms", "batch", "fps"), [(6.17022, 1, 162.0688), (24.0295, 4, 166.4620)])
def test_images_per_second_follow_from_the_mean_and_the_batch(mean_ms, batch, fps):
    log = "\n".join(NEW).replace("mean = 6.17 ms", f"mean = {mean_ms} ms")
    assert REPORT.read(log, "trtexec.log", batch)[0].fps == pytest.approx(fps, abs=1e-3)


FLOAT = parse("net (float[1] x) => (float[1] y) { y = Relu(x) }")
HALF = parse("net (float[1] x) => (float[1] y) { h = Cast<to = 10>(x) r = Relu(h) y = Cast<to = 1>(r) }")
QUANTISED = parse(
    """net (float[1] x) => (float[1] y) <float s = {0.5}, int8 z = {0}>
    { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }"""
)


@pytest.mark.parametrize(
    ("version", "model", "precision", "flags"),
    [
        ((8, 4, 1), FLOAT, Precision.MODEL, "--noTF32"),
        ((8, 4, 1), FLOAT, Precision.TF32, ""),
        ((8, 4, 1), FLOAT, Precision.FP16, "--fp16"),
        ((8, 4, 1), HALF, Precision.MODEL, "--fp16 --noTF32"),
        ((8, 4, 1), QUANTISED, Precision.MODEL, "--int8 --noTF32"),
        ((8, 4, 1), QUANTISED, Precision.FP16, "--fp16 --int8"),
        ((10, 3, 0), QUANTISED, Precision.MODEL, "--stronglyTyped --noTF32"),
        ((10, 3, 0), HALF, Precision.TF32, "--stronglyTyped"),
        ((10, 3, 0), FLOAT, Precision.FP16, "--fp16"),
        ((11, 4, 0), HALF, Precision.MODEL, "--noTF32"),
        ((11, 4, 0), QUANTISED, Precision.TF32, ""),
        ((), FLOAT, Precision.MODEL, "--noTF32"),
    ],
)
def test_a_release_is_told_the_types_in_its_own_way(version, model, precision, flags):
    asked = Build(Path("M.onnx"), Path("M.engine"), Path("log"), model, precision, version, {}, 1)
    command = build_command("trtexec", asked)
    assert command == ["trtexec", "--onnx=M.onnx", "--saveEngine=M.engine", *flags.split(), "--device=1"]


def test_shapes_reach_the_command_that_builds():
    shapes = {"image": (1, 3, 1024, 2048), "more": (2,)}
    asked = Build(Path("M.onnx"), Path("M.engine"), Path("log"), FLOAT, Precision.TF32, (11,), shapes, 0)
    assert build_command("trtexec", asked)[3:] == ["--shapes=image:1x3x1024x2048,more:2", "--device=0"]


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("v7203", (7, 2, 3)), ("v8401", (8, 4, 1)), ("v100300", (10, 3, 0)), ("v101601", (10, 16, 1)),
        ("v110400", (11, 4, 0)), ("", ()),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("tools")
def test_the_release_is_read_from_what_trtexec_prints(monkeypatch, printed, version):
    monkeypatch.setattr(trtexec, "probe", lambda *_: f"&&&& RUNNING TensorRT.trtexec [TensorRT {printed}] # trtexec")
    assert trtexec.version() == version


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
