"""The rest of a command in a child process: crashes, limits and interruptions."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")

HEAD = """
    import logging, os, signal, sys, time
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.processes.apart import carry_on_apart
    from fastscnn_opt.processes.limits import Limits
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = carry_on_apart("m.onnx", Limits(LIMITS), steps=["steps"], alive=["alive"])
    except TargetError as error:
        print(error, flush=True)
        raise SystemExit(1)
    if code is not None:
        raise SystemExit(code)
"""

DEAF = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM}); print('ready', flush=True)\n"
"""As deaf to Python's handlers as native code; after it, `time.sleep` stands for that code."""


PATIENT = "from fastscnn_opt.processes import apart; apart._CLOSING_SECONDS = 60"


def start(body, limits="", before=""):
    program = f"{before}\n{textwrap.dedent(HEAD.replace('LIMITS', limits))}{textwrap.dedent(body)}"
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def start_deaf():
    """Return a command whose child hears nothing, and this child."""
    process = start(DEAF + "time.sleep(60)")
    assert process.stdout.readline() == "ready\n"
    return process, psutil.Process(process.pid).children()[0]


def finish(process):
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.strip()


@pytest.mark.parametrize("code", [0, 3])
def test_output_and_exit_code_are_those_of_the_rest(code):
    assert finish(start(f"print('done'); sys.exit({code})")) == (code, "done")


@pytest.mark.parametrize("number", ["SIGSEGV", "SIGFPE"])
def test_a_crash_is_told_with_the_step_in_which_it_happened(number):
    code, output = finish(
        start(f"""
            logging.getLogger("steps.one").info("the pass %s", "simplify")
            logging.getLogger("alive").info("image 1")
            logging.getLogger("other").info("something else")
            os.kill(os.getpid(), signal.{number})
        """)
    )
    assert code == 1
    assert output == f"m.onnx: a library crashed in the pass simplify: the process was ended by {number}"


def test_silence_beyond_the_limit_is_told():
    code, output = finish(start(f"logging.getLogger('steps').info('the pass x'); {DEAF}time.sleep(60)", "0.1"))
    assert code == 1
    assert output.endswith(
        "m.onnx: the process gave no sign of life for 0.1 s, and was ended in the pass x; "
        "raise the time limit if it needs longer"
    )


def test_signs_of_life_keep_the_limit_away():
    body = "for name in ['steps', 'alive'] * 6: time.sleep(0.2); logging.getLogger(name).debug('x')\nprint('done')"
    assert finish(start(body, "0.1")) == (0, "done")


@pytest.mark.parametrize("holder", ["kept = bytearray(b'x') * 600_000_000; time.sleep(60)", "subprocess"])
def test_too_much_memory_ends_it_with_one_sentence(holder):
    if holder == "subprocess":
        words = "kept = bytearray(b'x') * 600_000_000; __import__('time').sleep(60)"
        holder = f"import subprocess; subprocess.run([sys.executable, '-c', {words!r}])"
    code, output = finish(start(holder, f"memory_bytes={300 * 2**20}"))
    assert code == 1
    assert output.startswith("m.onnx: the process ran out of memory: it held ")
    assert output.endswith("of the 300 MiB that it may, and was ended; raise the memory limit if it needs more")


def test_mapped_files_are_no_memory_that_it_holds(tmp_path):
    (tmp_path / "weights").write_bytes(bytes(400 * 2**20))
    body = f"""
        import mmap
        with open({str(tmp_path / "weights")!r}, "rb") as file:
            kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        print(sum(kept[::4096])); time.sleep(0.3); print("done")
    """
    assert finish(start(body, f"memory_bytes={200 * 2**20}")) == (0, "0\ndone")


WAITING = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("once", flush=True)
        time.sleep(0.1)
        sys.exit(130)
    finally:
        print("clean", flush=True)
"""


def test_an_interruption_reaches_it_once():
    process = start(WAITING, before=PATIENT)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == (130, "once\nclean")


def test_the_end_of_the_parent_lets_it_clean_up():
    process = start(WAITING, before=PATIENT)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert finish(process) == (143, "clean")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_an_interruption_ends_native_code_too(number, code):
    process, child = start_deaf()
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == code
    assert not child.is_running()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_both_stop_and_go_on_together():
    process, child = start_deaf()
    process.send_signal(signal.SIGTSTP)
    until(lambda: child.status() == psutil.STATUS_STOPPED == psutil.Process(process.pid).status())
    process.send_signal(signal.SIGCONT)
    until(lambda: psutil.STATUS_STOPPED not in (child.status(), psutil.Process(process.pid).status()))
    process.send_signal(signal.SIGINT)
    finish(process)
    assert not child.is_running()
