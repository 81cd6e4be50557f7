"""Output that cannot be written, or not in the encoding of the terminal, costs no finished work."""

import json
import os
import subprocess
import sys

import onnx
import pytest

NAME = "\x1b]0;title\x07[red]na\u00efve \u9053\u8def"

APPLY = f"{sys.executable} -m fastscnn_opt apply m.onnx -p resize-nearest -o o.onnx --no-verify"


@pytest.fixture
def shell(tmp_path, model_file):
    """Run a command line beside a model `m.onnx` with a node of a hostile name; return exit code, stdout, stderr."""
    model = onnx.load(model_file)
    model.graph.node[2].name = NAME
    onnx.save(model, tmp_path / "m.onnx")

    def run(line, **environment):
        ended = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=os.environ | environment, capture_output=True, check=False
        )
        return ended.returncode, ended.stdout, ended.stderr

    return run


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&- <&-", "2>/dev/full", "| true"])
def test_work_ends_well_when_nobody_reads(shell, tmp_path, closing):
    code, _, errors = shell(f"set -o pipefail; {APPLY} {closing}")
    assert code == 0
    assert b"rror" not in errors
    onnx.load(tmp_path / "o.onnx")


def test_a_result_that_cannot_be_written_is_told(shell):
    code, _, errors = shell(f"{APPLY} >/dev/full")
    assert code == 1
    assert errors.splitlines()[-1].startswith(b"error: the result on stdout: No space left on device")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_are_printed_in_every_encoding(shell, encoding):
    shown = NAME.encode(encoding, "replace").replace(b"\x1b", b"?").replace(b"\x07", b"?")
    code, printed, _ = shell(APPLY, PYTHONIOENCODING=encoding)
    assert code == 0
    assert b"changed " + shown in printed


def test_json_is_ascii_and_keeps_names(shell):
    (step,) = json.loads(shell(f"{APPLY} --format json", PYTHONIOENCODING="latin-1")[1].decode("ascii"))["steps"]
    assert step["changes"][0]["node"] == NAME


def test_what_native_code_prints_does_not_reach_the_result(shell):
    code = "import os, sys; from fastscnn_opt.cli import main, streams; streams.prepare(); os.write(1, b'noise\\n')"
    _, printed, noise = shell(f"{sys.executable} -c \"{code}; main.run(['passes', '--format', 'json'])\"")
    assert json.loads(printed)
    assert noise == b"noise\n"
