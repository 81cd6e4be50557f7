"""Verbs that run native code on a user's model: its crash, hang or hunger is one sentence, and Ctrl-C ends it."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")

PROGRAM = """
import os, signal, time, onnx
from fastscnn_opt.cli.main import main
def native(*_, **__):
    BODY
onnx.checker.check_model = onnx.shape_inference.infer_shapes = native
main()
"""

CRASH = "os.kill(os.getpid(), signal.SIGSEGV)"
HANG = "signal.pthread_sigmask(signal.SIG_BLOCK, {2, 15}); print('ready', flush=True); time.sleep(60)"

COMMANDS = {
    "apply": "apply m.onnx -p fp16-output -o out.onnx",
    "apply --dry-run": "apply m.onnx -p fp16-output --dry-run",
    "bisect": "bisect m.onnx -p fp16-output --max-diff 1",
    "diff": "diff m.onnx m.onnx",
    "explain": "explain fp16-output m.onnx",
    "export": "export --demo -o out.onnx",
    "lint": "lint m.onnx",
    "patch derive": "patch derive --model m.onnx --batch 1",
}


def start(model_file, body, *words):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("BODY", body), *words],
        cwd=model_file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(model_file.parent)},
    )


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_crash_is_one_sentence_and_writes_nothing(model_file, verb):
    process = start(model_file, CRASH, *COMMANDS[verb].split(), "--quiet")
    output, words = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert words.startswith(("error: m.onnx: a library crashed in the loading of m.onnx: ", "error: export: a library"))
    assert ": the process was ended by SIGSEGV" in words
    kept = [file for file in model_file.parent.rglob("*") if file.is_file()]
    assert {file.name for file in kept} <= {"m.onnx", "command.txt"}
    for file in kept:
        assert file.name == "m.onnx" or str(file.parent) in words


def test_a_hang_is_one_sentence(model_file):
    process = start(model_file, HANG, "lint", "m.onnx", "--time-limit", "1")
    assert process.communicate(timeout=60)[1] == (
        "error: m.onnx: the process gave no sign of life for 1 s, and was ended in the loading of m.onnx; "
        "raise the time limit if it needs longer\n"
    )
    assert process.returncode == 1


def test_memory_beyond_the_limit_is_one_sentence(model_file):
    process = start(
        model_file, "kept = b'x' * 600_000_000; time.sleep(60)", "lint", "m.onnx", "--memory-limit", "300 MiB"
    )
    assert process.communicate(timeout=60)[1].startswith("error: m.onnx: the process ran out of memory: it held ")
    assert process.returncode == 1


@pytest.mark.parametrize(("number", "code", "words"), [("SIGINT", 130, "interrupted\n"), ("SIGTERM", 143, "")])
def test_an_interruption_ends_it_while_native_code_runs(model_file, number, code, words):
    process = start(model_file, HANG, "lint", "m.onnx")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, number))
    assert process.communicate(timeout=20) == ("", words)
    assert process.returncode == code


def test_an_interruption_is_told_once(model_file):
    process = start(model_file, "print('ready', flush=True); time.sleep(60)", "lint", "m.onnx")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "interrupted\n")
