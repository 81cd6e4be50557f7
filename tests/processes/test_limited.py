"""The rest of a command in a child process whose memory is limited."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")

HEAD = """
    import os, signal, sys, time
    from pathlib import Path
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.processes.limited import carry_on_within
    try:
        carry_on_within(LIMIT, Path("model.onnx"))
    except TargetError as error:
        print(error, flush=True)
        raise SystemExit(1)
"""


def start(body, limit=10**9):
    program = textwrap.dedent(HEAD.replace("LIMIT", str(limit))) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def finish(process):
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.strip()


@pytest.mark.parametrize("code", [0, 3])
def test_output_and_exit_code_are_those_of_the_rest(code):
    assert finish(start(f"print('done'); sys.exit({code})")) == (code, "done")


def test_too_much_memory_ends_it_with_one_sentence():
    code, output = finish(start("kept = bytearray(b'x') * 600_000_000; time.sleep(60); print('done')", 300 * 2**20))
    assert code == 1
    assert output.startswith("model.onnx: the process ran out of memory: it held ")
    assert output.endswith("of the 300 MiB that it may, and was ended; raise the memory limit if it needs more")


def test_a_crash_is_named():
    code, output = finish(start("os.kill(os.getpid(), signal.SIGSEGV)"))
    assert (code, output) == (1, "model.onnx: the process was ended by SIGSEGV")


def test_an_interruption_lets_it_clean_up():
    process = start("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("clean", flush=True)
    """)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)  # which a terminal would send to both
    assert finish(process) == (-signal.SIGINT, "clean")
