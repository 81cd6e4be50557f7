"""The command line of ais_bench."""

from pathlib import Path

import pytest

from fastscnn_opt.ascend.runners.ais_bench import AisBench, hyphened
from fastscnn_opt.ascend.runners.compiled_file import CompiledFile


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
