"""The report of each tool is recognised by its content and gives images per second of a device and of a card."""

import json

import pytest

from fastscnn_opt.ascend.reports import read_report
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
    report = read_report(tmp_path / name, batch=batch)
    assert (report.tool, report.mean_ms) == (tool, mean_ms)
    assert report.fps_per_device == pytest.approx(device, rel=1e-5)
    assert report.fps_per_card == pytest.approx(card, rel=1e-5)


def test_a_310p_card_has_one_device(tmp_path):
    (tmp_path / "p.txt").write_text(PERF_VISION)
    report = read_report(tmp_path / "p.txt", soc_version="Ascend310P3")
    assert report.fps_per_card == report.fps_per_device


@pytest.mark.parametrize(
    ("text", "what"),
    [("hello", "holds no report of benchmark"), ("GPU Compute", "reported no GPU compute time"), ("[e2e]", "line 1")],
)
def test_something_else_is_refused_with_its_name(tmp_path, text, what):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(DataError, match=rf"p\.txt.*{what}"):
        read_report(tmp_path / "p.txt")


def test_a_misspelt_processor_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "p.txt").write_text(PERF_VISION)
    with pytest.raises(
        DataError, match=r"--soc-version: unknown processor 'ascend310P3'; did you mean 'Ascend310P3'\?"
    ):
        read_report(tmp_path / "p.txt", soc_version="ascend310P3")
