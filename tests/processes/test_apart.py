"""The rest of a command in a child process: a crash becomes one sentence."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")

HEAD = """
    import logging, os, signal, sys, time
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.processes.apart import carry_on_apart
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = carry_on_apart("apply", "steps")
    except TargetError as error:
        print(error, flush=True)
        raise SystemExit(1)
    if code is not None:
        raise SystemExit(code)
"""


def start(body):
    program = textwrap.dedent(HEAD) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


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
            logging.getLogger("other").info("something else")
            os.kill(os.getpid(), signal.{number})
        """)
    )
    assert code == 1
    assert output == (
        f"apply: a library that it uses crashed in the pass simplify: the process was ended by {number}; "
        "leave that step out"
    )


WAITING = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("once", flush=True)
        time.sleep(0.3)
        sys.exit(130)
    finally:
        print("clean", flush=True)
"""


def test_an_interruption_reaches_it_once():
    process = start(WAITING)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == (130, "once\nclean")


def test_the_end_of_the_parent_lets_it_clean_up():
    process = start(WAITING)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert finish(process) == (143, "clean")
