"""The command line of ais_bench and what it reports."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.runners.ais_bench import (
    AisBench,
    AisBenchSummary,
    hyphened,
    parse_summary,
    parse_summary_file,
)
from fastscnn_opt.ascend.runners.compiled_file import CompiledFile
from fastscnn_opt.errors import DataError, TargetError

COMPUTE = "[INFO] NPU_compute_time (ms): min = 2.47, max = 3.93, mean = 3.55, median = 3.72, percentile(99%) = 3.93"
OLD = f"""\
[INFO] warm up 1 done
[INFO] -----------------Performance Summary------------------
[INFO] H2D_latency (ms): min = 0.2, max = 0.4, mean = 0.3, median = 0.31, percentile(99%) = 0.39
{COMPUTE}
[INFO] D2H_latency (ms): min = 0.1, max = 0.3, mean = 0.2, median = 0.21, percentile(99%) = 0.29
[INFO] throughput (1000*batchsize/NPU_compute_time): 281.69
[INFO] ------------------------------------------------------
"""
NEW = f"""\
[INFO] -----------------Performance Summary------------------
{COMPUTE}
[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(3.55): 281.69
"""


def tool(*, hyphens, device=0):
    return AisBench(
        CompiledFile(Path("M.om"), outputs=1, device=device, limit_s=60, log=Path("log")), "python3", hyphens
    )


def test_options_with_underscores():
    inputs = [Path("in/a.bin"), Path("in/b.bin")]
    command = tool(hyphens=False, device=1).command(inputs, batch=2, output=Path("out"), loop=20)
    assert " ".join(command) == (
        "python3 -m ais_bench --model M.om --input in/a.bin,in/b.bin --output out --output_dirname run --outfmt BIN "
        "--device 1 --batchsize 2 --loop 20 --warmup_count 1"
    )


def test_options_with_hyphens():
    command = tool(hyphens=True).command([Path("a.bin")], batch=1)
    assert " ".join(command) == (
        "python3 -m ais_bench --model M.om --input a.bin --device 0 --batchsize 1 --loop 1 --warmup-count 1"
    )


@pytest.mark.parametrize("wording", [OLD, NEW])
def test_the_time_on_the_device_is_read(wording):
    assert parse_summary(wording) == AisBenchSummary(3.55, 281.69)


def test_the_last_summary_counts():
    assert parse_summary(OLD.replace("3.55", "9.99") + NEW).mean_ms == 3.55


@pytest.mark.parametrize("output", ["", "[ERROR] load model failed", NEW.replace("throughput", "through"), COMPUTE])
def test_output_without_a_summary_is_refused(output):
    with pytest.raises(TargetError, match="no performance summary"):
        parse_summary(output)


@pytest.mark.parametrize("figure", ["inf", "281_69", "281.69x", "-1"])
def test_a_throughput_that_is_no_number_is_refused(figure):
    with pytest.raises(TargetError, match=f"throughput is '{figure}'"):
        parse_summary(NEW.replace("281.69", figure))


@pytest.mark.parametrize("figure", ["nan", "3.5.5", "0"])
def test_a_mean_that_is_no_number_is_refused(figure):
    with pytest.raises(TargetError, match=f"NPU_compute_time is '{figure}'"):
        parse_summary(NEW.replace("mean = 3.55,", f"mean = {figure},"))


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with pytest.raises(TargetError):
        parse_summary(text)


TIMES = {"min": 2.47, "max": 3.93, "mean": 3.55, "median": 3.72, "percentile(99%)": 3.93, "count": 20}


def test_the_summary_file_is_read():
    content = {"filesinfo": {}, "args": {"model": "M.om"}, "NPU_compute_time": TIMES, "throughput": 281.69, "pid": 4711}
    assert parse_summary_file(json.dumps(content)) == AisBenchSummary(3.55, 281.69)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"NPU_compute_time": 3}', json.dumps({"NPU_compute_time": TIMES})])
def test_another_file_is_refused(text):
    with pytest.raises(DataError, match="is not a summary of ais_bench"):
        parse_summary_file(text)


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "0", "-1", "true", '"281.69"', '"1_0"', "null"])
def test_a_summary_file_whose_throughput_is_no_number_is_refused(figure):
    text = f'{{"NPU_compute_time": {{"mean": 3.55}}, "throughput": {figure}}}'
    with pytest.raises(DataError, match="is not a summary of ais_bench"):
        parse_summary_file(text)


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("print('--output OUTPUT --output-dirname OUTPUT_DIRNAME')", True),
        ("print('--output OUTPUT --output_dirname OUTPUT_DIRNAME')", False),
        ("raise SystemExit('No module named ais_bench')", None),
    ],
)
def test_the_manual_tells_how_options_are_written(install, script, answer):
    assert hyphened(str(install("python3", script))) is answer


@pytest.mark.usefixtures("install")
def test_without_the_interpreter_there_is_no_ais_bench():
    assert hyphened("python3") is None
