"""The command lines of the benchmark tool and what it reports."""

from pathlib import Path

import pytest

from fastscnn_opt.ascend.runners.benchmark_tool import BenchmarkTool, PureInference, parse_pure_inferences
from fastscnn_opt.ascend.runners.compiled_file import CompiledFile
from fastscnn_opt.errors import TargetError


def tool(device=0):
    compiled = CompiledFile(Path("M.om"), outputs=1, device=device, limit_s=60, log=Path("log"))
    return BenchmarkTool(compiled, "./benchmark.x86_64")


def test_the_command_of_the_recipe():
    command = tool().vision_command(Path("fast_scnn_prep_bin.info"), 1, 1024, 2048)
    assert " ".join(command) == (
        "./benchmark.x86_64 -model_type=vision -device_id=0 -batch_size=1 -om_path=M.om "
        "-input_text_path=fast_scnn_prep_bin.info -input_width=2048 -input_height=1024 -output_binary=True "
        "-useDvpp=False"
    )


def test_the_command_of_pure_inference():
    command = tool(device=1).pure_inference_command(20, 4)
    assert " ".join(command) == "./benchmark.x86_64 -round=20 -om_path=M.om -device_id=1 -batch_size=4"


@pytest.mark.parametrize(
    "output",
    [
        "[INFO] ave_throughputRate: 1.22321samples/s, ave_latency: 817.799ms",
        "ave_throughputRate = 1.22321samples/s, ave_latency = 817.799ms",
    ],
)
def test_both_spellings_of_pure_inference_are_read(output):
    assert parse_pure_inferences(output) == [PureInference(1.22321, 817.799)]


@pytest.mark.parametrize("output", ["", "[ERROR] load model failed", "ave_throughputRate: 3"])
def test_output_without_figures_is_refused(output):
    with pytest.raises(TargetError, match="no ave_throughputRate"):
        parse_pure_inferences(output)


def test_a_throughput_that_is_no_number_is_refused():
    with pytest.raises(TargetError, match="ave_throughputRate is '-nan'"):
        parse_pure_inferences("ave_throughputRate: -nansamples/s, ave_latency: 1ms")
