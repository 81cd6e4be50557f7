"""Vendor tools as processes: words, logs, limits, and ends of every kind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.processes.tool import find, probe, run_tool


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_the_words_of_both_streams_are_returned(tmp_path):
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    finished = run_tool(python(script), log=tmp_path / "log", limit_s=60)
    assert (finished.exit_code, finished.output) == (0, "out\nerr\n")


def test_the_log_has_every_command_with_its_words(tmp_path):
    log = tmp_path / "new" / "log"
    for word in ("one", "two words"):
        run_tool([sys.executable, "-c", "import sys; print(sys.argv[1])", word], log=log, limit_s=60)
    lines = log.read_text().splitlines()
    assert [line.endswith(("one", "'two words'")) and line[:2] == "$ " for line in lines] == [True, False, True, False]
    assert lines[1::2] == ["one", "two words"]


def test_only_its_own_words_are_returned(tmp_path):
    for word in ("first", "second"):
        finished = run_tool(python(f"print({word!r})"), log=tmp_path / "log", limit_s=60)
    assert finished.output == "second\n"


def test_no_shell_reads_the_arguments(tmp_path):
    arguments = [sys.executable, "-c", "import sys; print(sys.argv[1:])", "$HOME;echo", "*", "a b"]
    assert run_tool(arguments, log=tmp_path / "log", limit_s=60).output == "['$HOME;echo', '*', 'a b']\n"


def test_it_runs_in_the_folder_and_gets_no_input(tmp_path):
    script = "import os, sys; print(os.getcwd(), repr(sys.stdin.read()))"
    finished = run_tool(python(script), log=tmp_path / "log", limit_s=60, folder=tmp_path)
    assert finished.output.split() == [str(tmp_path), "''"]


def test_a_failing_exit_code_is_returned(tmp_path):
    finished = run_tool(
        python("print('a'); print('b'); print('c'); print('d'); raise SystemExit(255)"),
        log=tmp_path / "log",
        limit_s=60,
    )
    name = Path(sys.executable).name
    assert finished.exit_code == 255
    assert str(finished.failure()) == f"{name}: exit code 255; its last words: b | c | d (log: {tmp_path / 'log'})"
    assert str(finished.failure("E1: no", "do this")) == f"{name}: E1: no (log: {tmp_path / 'log'}); do this"


def test_colours_do_not_reach_an_error_message(tmp_path):
    finished = run_tool(python("print('\\033[31mred\\033[0m'); raise SystemExit(1)"), log=tmp_path / "log", limit_s=60)
    assert "\033" not in str(finished.failure())
    assert "\033" not in str(finished.failure("\033[31mred"))


def test_a_signal_is_an_error(tmp_path):
    script = "import os, signal; print('so far', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(TargetError, match="was ended by SIGSEGV; its last words: so far"):
        run_tool(python(script), log=tmp_path / "log", limit_s=60)


def test_a_tool_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(TargetError, match=r"atc: cannot be started from /nowhere/atc .*install it"):
        run_tool(["/nowhere/atc"], log=tmp_path / "log", limit_s=60)


STARTER = """
import pathlib, subprocess, sys, time
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
place = pathlib.Path({place!r})
place.with_suffix(".part").write_text(str(helper.pid))
place.with_suffix(".part").rename(place)
time.sleep(600)
"""


def test_at_the_time_limit_all_of_its_processes_end(tmp_path):
    place = tmp_path / "pid"
    limit_s = 1.0
    while not place.exists():  # a slow machine needs a longer limit to get as far as a second process
        with pytest.raises(TargetError, match=r"and was ended \(log: .*\); .*raise the option limit_s"):
            run_tool(python(STARTER.format(place=str(place))), log=tmp_path / "log", limit_s=limit_s)
        limit_s *= 2
    assert_ends(int(place.read_text()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died")
def test_it_ends_when_this_process_is_killed(tmp_path):
    place = tmp_path / "pid"
    tool = f"import os, pathlib, time; pathlib.Path({str(place)!r}).write_text(str(os.getpid())); time.sleep(600)"
    starter = (
        "import pathlib, sys; from fastscnn_opt.processes.tool import run_tool; "
        f"run_tool([sys.executable, '-c', {tool!r}], log=pathlib.Path({str(tmp_path / 'log')!r}), limit_s=600)"
    )
    parent = subprocess.Popen(python(starter))
    while not (place.exists() and place.read_text()):
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    assert_ends(int(place.read_text()))


def assert_ends(pid: int) -> None:
    """Wait until a process has ended; one that nobody has collected yet counts as ended."""
    while True:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)


def test_a_probe_returns_what_is_printed():
    assert probe(sys.executable, "-c", "print('1.2.3')") == "1.2.3\n"


@pytest.mark.parametrize("command", [("/nowhere/tool",), (sys.executable, "-c", "raise SystemExit(1)")])
def test_a_probe_of_what_is_missing_or_fails_is_none(command):
    assert probe(*command) is None


def test_a_tool_is_found_by_its_absolute_path(tmp_path, monkeypatch):
    tool = tmp_path / "atc"
    tool.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    assert find("atc") == str(tool)
    assert find("trtexec") is None
