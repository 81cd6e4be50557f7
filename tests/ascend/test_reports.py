"""The report of each tool is recognised by its content and gives images per second of a device and of a card."""

import json

import pytest

from fastscnn_opt.ascend.reports import read_reports
from fastscnn_opt.errors import DataError

PERF_VISION = (
    "[e2e] throughputRate: 5.56, latency: 89928.1 [data read] throughputRate: 5.9, moduleLatency: 169.492 "
    "[preprocess] throughputRate: 5.8, moduleLatency: 172.414 "
    "[infer] throughputRate: 5.57, Interface throughputRate: 5.5718, moduleLatency: 178.9 "
    "[post] throughputRate: 5.57, moduleLatency: 179.533"
)
AIS_BENCH = (
    "[INFO] -----------------Performance Summary------------------\n"
    "[INFO] NPU_compute_time (ms): min = 2.0, max = 5.0, mean = 4.0, median = 3.9, percentile(99%) = 5.0\n"
    "[INFO] throughput 1000*batchsize.mean(2)/NPU_compute_time.mean(4.0): 500.0\n"
)
SUMMARY = json.dumps(
    {
        "NPU_compute_time": {"min": 2, "max": 5, "mean": 4, "median": 4, "percentile(99%)": 5, "count": 9},
        "throughput": 250.0,
    }
)
TRTEXEC = (
    "[I] GPU Compute Time: min = 6.1 ms, max = 6.3 ms, mean = 24.0295 ms, median = 6.2 ms, percentile(99%) = 6.3 ms"
)


@pytest.mark.parametrize(
    ("name", "text", "batch", "tool", "mean_ms", "device", "card"),
    [
        (
            "perf_vision_batchsize_1_device_0.txt",
            PERF_VISION,
            None,
            "benchmark, perf_vision file",
            None,
            5.5718,
            22.2872,
        ),
        (
            "pure.log",
            "ave_throughputRate: 1.25samples/s, ave_latency: 800ms",
            2,
            "benchmark, pure inference",
            1600,
            1.25,
            5,
        ),
        ("ais.log", AIS_BENCH, 2, "ais_bench", 4.0, 500.0, 2000.0),
        ("out_summary.json", SUMMARY, None, "ais_bench, summary file", 4.0, 250.0, 1000.0),
        ("msame.log", "Inference average time: 20.0 ms\n", 4, "msame", 20.0, 200.0, 800.0),
        ("trtexec.log", TRTEXEC, 4, "trtexec", 24.0295, 166.462, 166.462),
    ],
)
def test_each_tool_is_recognised(tmp_path, name, text, batch, tool, mean_ms, device, card):  # noqa: PLR0917 - one case each
    (tmp_path / name).write_text(text)
    (report,) = read_reports(tmp_path / name, batch=batch)
    assert (report.tool, report.mean_ms) == (tool, mean_ms)
    assert report.fps_per_device == pytest.approx(device, rel=1e-5)
    assert report.fps_per_card == pytest.approx(card, rel=1e-5)


def test_a_310p_card_has_one_device(tmp_path):
    (tmp_path / "p.txt").write_text(PERF_VISION)
    (report,) = read_reports(tmp_path / "p.txt", soc_version="Ascend310P3")
    assert report.fps_per_card == report.fps_per_device


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hello", "holds no report of benchmark"),
        ("GPU Compute", "reported no GPU compute time"),
        ("[e2e] throughputRate: x", "line 1"),
    ],
)
def test_something_else_is_refused_with_its_name(tmp_path, text, what):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(DataError, match=rf"p\.txt.*{what}"):
        read_reports(tmp_path / "p.txt")


def test_a_misspelt_processor_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "p.txt").write_text(PERF_VISION)
    with pytest.raises(
        DataError, match=r"--soc-version: unknown processor 'ascend310P3'; did you mean 'Ascend310P3'\?"
    ):
        read_reports(tmp_path / "p.txt", soc_version="ascend310P3")


def test_the_sum_of_devices_is_a_report_of_its_own(tmp_path):
    (tmp_path / "p.log").write_text(
        AIS_BENCH + AIS_BENCH.replace("4.0", "8.0").replace("500.0", "250.0").replace("max = 5", "max = 9")
    )
    reports = read_reports(tmp_path / "p.log")
    assert [(report.part, report.fps, report.fps_per_device, report.fps_per_card) for report in reports] == [
        ("1 of 3", 500, 500, 2000),
        ("2 of 3", 250, 250, 1000),
        ("sum of 2 devices", 750, 375, 1500),
    ]


def test_reports_of_several_tools_in_one_file_are_read(tmp_path):
    (tmp_path / "README.md").write_text(f"# Speed\n```\n{PERF_VISION}\n```\nLater, with ais_bench:\n{AIS_BENCH}")
    assert [report.tool for report in read_reports(tmp_path / "README.md")] == [
        "benchmark, perf_vision file",
        "ais_bench",
    ]


def test_a_speed_that_is_quoted_again_is_not_read_twice(tmp_path):
    (tmp_path / "p.md").write_text(f"{PERF_VISION}\nInterface throughputRate: 5.5718, times 4 is 22.29 fps\n")
    assert len(read_reports(tmp_path / "p.md")) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_carriage_returns_colours_and_escapes_are_no_part_of_a_report(tmp_path, encoding):
    text = "".join(
        f"\x1b[32m{line}\x1b[0m\r\n" for line in AIS_BENCH.replace("_", "\\_").replace("*", "\\*").splitlines()
    )
    (tmp_path / "p.log").write_bytes(f"100%|##| 1/1 [00:01]\r{text}".encode(encoding))
    (report,) = read_reports(tmp_path / "p.log")
    assert (report.fps, report.batch, report.notes) == (500, 2, ())


def test_the_error_of_a_failed_run_is_told(tmp_path):
    (tmp_path / "p.log").write_text(
        "[INFO] open device 0 success\nE19999: Inner Error!\nE19999 the model is of another version\n"
        "[ERROR] load model from file failed, model file is M.om\n"
    )
    with pytest.raises(
        DataError, match=r"p\.log: holds no speed, since the run failed: E19999: Inner Error! the model is of"
    ):
        read_reports(tmp_path / "p.log")


def test_an_error_beside_a_speed_is_a_note(tmp_path):
    (tmp_path / "p.log").write_text(f"{AIS_BENCH}[ERROR] reset device failed, errorCode is 507033\n")
    assert "errorCode is 507033" in read_reports(tmp_path / "p.log")[0].notes[0]
