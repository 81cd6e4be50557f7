"""What ais_bench prints and writes about the speed of a run, of old and new releases and of several devices."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.runners.ais_bench_report import (
    REPORTS,
    AisBenchSummary,
    parse_mean_ms,
    parse_summaries,
    parse_summary_file,
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


@pytest.mark.parametrize("wording", [OLD, NEW])
def test_the_time_on_the_device_is_read(wording):
    assert parse_summaries(wording) == [AisBenchSummary(3.55, 281.69, 1)]


@pytest.mark.parametrize("wording", [OLD, NEW])
def test_a_summary_is_read_without_its_heading(wording):
    headless = "\n".join(line for line in wording.splitlines() if "Summary" not in line)
    assert parse_summaries(headless) == [AisBenchSummary(3.55, 281.69, 1)]


def test_the_last_summary_counts_for_a_run():
    assert parse_mean_ms(OLD.replace("3.55", "9.99") + NEW) == 3.55


@pytest.mark.parametrize("output", ["", "[ERROR] load model failed", NEW.replace("throughput", "through"), COMPUTE])
def test_output_without_a_summary_is_refused(output):
    with pytest.raises(TargetError, match="no performance summary"):
        parse_mean_ms(output)


@pytest.mark.parametrize("figure", ["inf", "281_69", "281.69x", "-1"])
def test_a_throughput_that_is_no_number_is_refused(figure):
    with pytest.raises(TargetError, match=f"throughput is '{figure}'"):
        parse_mean_ms(NEW.replace("281.69", figure))


@pytest.mark.parametrize("figure", ["nan", "3.5.5", "0"])
def test_a_mean_that_is_no_number_is_refused(figure):
    with pytest.raises(TargetError, match=f"NPU_compute_time is '{figure}'"):
        parse_mean_ms(NEW.replace("mean = 3.55,", f"mean = {figure},"))


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with pytest.raises(TargetError):
        parse_mean_ms(text)


TIMES = {"min": 2.47, "max": 3.93, "mean": 3.55, "median": 3.72, "percentile(99%)": 3.93, "count": 20}


def test_the_summary_file_is_read():
    content = {"filesinfo": {}, "args": {"model": "M.om"}, "NPU_compute_time": TIMES, "throughput": 281.69, "pid": 4711}
    assert parse_summary_file(json.dumps(content)) == AisBenchSummary(3.55, 281.69, 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"NPU_compute_time": 3}', json.dumps({"NPU_compute_time": TIMES})])
def test_another_file_is_refused(text):
    with pytest.raises(DataError, match="is not a summary of ais_bench"):
        parse_summary_file(text)


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "0", "-1", "true", '"281.69"', '"1_0"', "null"])
def test_a_summary_file_whose_throughput_is_no_number_is_refused(figure):
    text = f'{{"NPU_compute_time": {{"mean": 3.55}}, "throughput": {figure}}}'
    with pytest.raises(DataError, match="is not a summary of ais_bench"):
        parse_summary_file(text)


def printed(text, batch=None):
    return REPORTS[1].read(text, "ais.log", batch)


def summary(batch, mean, throughput):
    times = f"NPU_compute_time (ms): min = 1.0, max = 90.0, mean = {mean}, median = 2.0, percentile(99%) = 9.0"
    rate = f"throughput 1000*batchsize.mean({batch})/NPU_compute_time.mean({mean}): {throughput}"
    return [f"[INFO] {line}\n" for line in ("----Performance Summary----", times, rate, "---------------")]


DEVICES = """\
[INFO] multidevice run end qsize:4 result:1
i:0 device_3 throughput:250.0 start_time:1676875630.8 end_time:1676875630.9
i:1 device_5 throughput:200.0 start_time:1676875630.8 end_time:1676875630.9
[INFO] summary throughput:450.0
"""


def test_the_batch_of_the_line_of_2022_follows_from_its_figures():
    (speed,) = printed(OLD.replace("281.69", "4507.04"))
    assert (speed.fps, speed.batch, speed.notes) == (4507.04, 16, ())


def test_the_times_may_stand_in_any_order():
    text = "NPU_compute_time (ms): mean = 2.00, min = 1.9, max = 2.2\n"
    assert printed(f"{text}throughput 1000*batchsize(3)/NPU_compute_time.mean(2.00): 1500.0")[0].mean_ms == 2


def test_the_line_of_the_throughput_is_enough():
    (speed,) = printed("  throughput 1000*batchsize(16)/NPU_compute_time.mean(2.5): 6400.0")
    assert (speed.fps, speed.mean_ms, speed.batch, speed.notes) == (6400, 2.5, 16, ())


def test_without_a_throughput_it_is_computed_and_told():
    (speed,) = printed(COMPUTE.replace("3.55", "4.00").replace("3.93", "9.99"), 2)
    assert (speed.fps, speed.batch) == (500, 2)
    assert "computed from the mean for a batch of 2" in speed.notes[0]


@pytest.mark.parametrize("mixed", [False, True])
def test_each_device_is_reported_and_their_sum(mixed):
    one, two = summary(1, "4.000", "250.0"), summary(1, "5.000", "200.0")
    lines = [*one[:2], *two[:2], two[2], one[2], two[3], one[3]] if mixed else [*one, *two]
    speeds = printed("".join(lines) + DEVICES)
    assert [(speed.part, speed.fps, speed.devices, speed.mean_ms) for speed in speeds] == [
        ("device 3", 250, 1, 4),
        ("device 5", 200, 1, 5),
        ("sum of 2 devices", 450, 2, None),
    ]
    assert not any(speed.notes for speed in speeds)


def test_the_closing_lines_of_several_devices_are_enough():
    assert [speed.fps for speed in printed(DEVICES)] == [250, 200, 450]


def test_a_sum_without_named_devices_says_on_what_it_depends():
    text = "".join([*summary(1, "4.000", "250.0"), *summary(1, "5.000", "200.0")])
    assert "if the 2 summaries are of devices that ran at the same time" in printed(text)[-1].notes[0]


def test_a_sum_that_is_not_the_printed_one_is_told():
    text = "".join([*summary(1, "4.000", "250.0"), *summary(1, "5.000", "200.0")])
    (note,) = printed(text + DEVICES.replace("450.0", "500.0"))[-1].notes
    assert note == "the summary throughput is 500 samples/s, but the devices make 450"


def test_summaries_of_different_batches_have_no_sum():
    text = "".join([*summary(1, "4.000", "250.0"), *summary(4, "5.000", "800.0")])
    assert [(speed.fps, speed.batch, speed.devices) for speed in printed(text)] == [(250, 1, 1), (800, 4, 1)]


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (": 281.69", ": 300.0", "300 samples/s, but a batch of 1 in 3.55 ms makes 281.69"),
        (".mean(3.55)", ".mean(2.55)", "the mean is 3.55 ms in one line and 2.55 ms in the line of the throughput"),
        (
            "max = 3.93",
            "max = 3.03",
            "the mean of 3.55 ms is not between the least time, 2.47 ms, and the longest, 3.03 ms",
        ),
        (
            "\n[INFO] thr",
            "\n[WARN] device is busy\n[INFO] thr",
            "line 3: '[WARN] device is busy' is not part of the report",
        ),
    ],
)
def test_a_contradiction_and_a_line_that_is_not_understood_are_told(old, new, note):
    assert old in NEW
    notes = printed(NEW.replace(old, new))[0].notes
    assert len(notes) == 1
    assert notes[0].startswith(note)


def test_a_throughput_that_no_batch_explains_is_told():
    assert printed(OLD.replace("281.69", "400.0"))[0].notes == (
        "400 samples/s with a mean of 3.55 ms would be batches of 1.42 samples",
    )


def test_a_given_batch_that_is_not_that_of_the_report_is_told():
    assert printed(NEW, 4)[0].notes == ("the report is of batches of 1, not of 4",)


def test_a_damaged_part_of_the_summary_file_is_refused():
    with pytest.raises(DataError, match="is not a summary of ais_bench"):
        REPORTS[0].read('"NPU_compute_time": {"mean": 5x}', "s.json", None)


def test_a_part_of_the_summary_file_is_read():
    text = '"NPU_compute_time": {\n  "min": 55.1, \n  "mean": 55.2, "percentile(99%)": 55.9},\n'
    assert REPORTS[0].read(f'{text}"throughput": 289.855}}', "s.json", None)[0].batch == 16
    assert REPORTS[0].read(text, "s.json", 16)[0].fps == pytest.approx(16000 / 55.2)
