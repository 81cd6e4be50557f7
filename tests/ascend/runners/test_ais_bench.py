"""The command line of ais_bench and what it reports."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.runners.ais_bench import (
    Summary,
    Times,
    ais_bench_command,
    hyphened,
    parse_summary,
    read_summary,
)
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


def test_options_with_underscores():
    command = ais_bench_command(
        "python3.9",
        Path("M.om"),
        hyphens=False,
        inputs=[Path("in/a.bin"), Path("in/b.bin")],
        output=Path("out"),
        device=1,
        batch=2,
        loop=20,
        warm_up=3,
    )
    assert " ".join(command) == (
        "python3.9 -m ais_bench --model M.om --input in/a.bin,in/b.bin --output out --output_dirname run --outfmt BIN "
        "--device 1 --batchsize 2 --loop 20 --warmup_count 3"
    )


def test_options_with_hyphens():
    command = ais_bench_command("python3", Path("M.om"), hyphens=True, output=Path("out"))
    assert " ".join(command) == (
        "python3 -m ais_bench --model M.om --pure-data-type random --output out --output-dirname run --outfmt BIN "
        "--device 0 --batchsize 1 --loop 1 --warmup-count 1"
    )


@pytest.mark.parametrize("wording", [OLD, NEW])
def test_the_time_on_the_device_is_read(wording):
    summary = parse_summary(wording)
    assert summary.compute == Times(2.47, 3.93, 3.55, 3.72, 3.93)
    assert summary.throughput == 281.69


def test_the_times_of_the_copies_are_read_where_they_are_told():
    assert parse_summary(OLD).host_to_device == Times(0.2, 0.4, 0.3, 0.31, 0.39)
    assert parse_summary(OLD).device_to_host == Times(0.1, 0.3, 0.2, 0.21, 0.29)
    assert parse_summary(NEW).host_to_device is None


def test_the_last_summary_counts():
    assert parse_summary(OLD.replace("3.55", "9.99") + NEW).compute.mean_ms == 3.55


@pytest.mark.parametrize("output", ["", "[ERROR] load model failed", NEW.replace("throughput", "through"), COMPUTE])
def test_output_without_a_summary_is_refused(output):
    with pytest.raises(TargetError, match="no performance summary"):
        parse_summary(output)


def test_a_throughput_that_is_no_number_is_refused():
    with pytest.raises(TargetError, match="throughput is 'inf'"):
        parse_summary(NEW.replace("281.69", "inf"))


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with pytest.raises(TargetError):
        parse_summary(text)


TIMES = {"min": 2.47, "max": 3.93, "mean": 3.55, "median": 3.72, "percentile(99%)": 3.93, "count": 20}


def test_the_summary_file_is_read(tmp_path):
    file = tmp_path / "run_summary.json"
    file.write_text(
        json.dumps(
            {
                "filesinfo": {},
                "args": {"model": "M.om"},
                "NPU_compute_time": TIMES,
                "H2D_latency": {**TIMES, "mean": 0.3},
                "D2H_latency": {},
                "throughput": 281.69,
                "pid": 4711,
            }
        )
    )
    compute = Times(2.47, 3.93, 3.55, 3.72, 3.93)
    assert read_summary(file) == Summary(compute, 281.69, Times(2.47, 3.93, 0.3, 3.72, 3.93), None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"NPU_compute_time": 3}', json.dumps({"NPU_compute_time": TIMES})])
def test_another_file_is_refused(tmp_path, text):
    file = tmp_path / "run_summary.json"
    file.write_text(text)
    with pytest.raises(DataError, match="is not a summary of ais_bench"):
        read_summary(file)


def test_a_missing_summary_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_summary(tmp_path / "nothing.json")


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
