"""The command line of msame and what it reports."""

from pathlib import Path

import pytest

from fastscnn_opt.ascend.runners.compiled_file import CompiledFile
from fastscnn_opt.ascend.runners.msame import Msame, parse_averages_ms
from fastscnn_opt.errors import TargetError


def test_the_command():
    msame = Msame(CompiledFile(Path("M.om"), outputs=1, device=1, limit_s=60, log=Path("log")), "msame")
    command = msame.command([Path("a.bin"), Path("b.bin")], Path("out"), 20)
    assert " ".join(command) == (
        "msame --model M.om --input a.bin,b.bin --output out --outfmt BIN --loop 20 --device 1"
    )


@pytest.mark.parametrize(
    ("output", "average"),
    [
        ("[INFO] output data success\nInference average time: 105.417100 ms\n", 105.4171),
        ("Inference average time : 4.50 ms\nInference average time without first time: 4.25 ms\n", 4.5),
        ("Inference average time: 1.0 ms\nInference average time: 2.0 ms\n", 2.0),
    ],
)
def test_both_spellings_of_the_average_are_read(output, average):
    assert parse_averages_ms(output)[-1] == average


@pytest.mark.parametrize("output", ["", "Inference average time without first time: 4.25 ms\n", "Inference time: 3 ms"])
def test_output_without_an_average_is_refused(output):
    with pytest.raises(TargetError, match="no average time"):
        parse_averages_ms(output)


@pytest.mark.parametrize("average", ["-nan", "0.00", "inf"])
def test_an_average_that_is_no_time_is_refused(average):
    with pytest.raises(TargetError, match="not a number above 0"):
        parse_averages_ms(f"Inference average time : {average} ms")
