"""Child processes that answer, refuse, crash, hang, and end with their parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from fastscnn_opt.errors import DataError, UserError
from fastscnn_opt.processes.child import CAN_PAUSE, Child
from fastscnn_opt.processes.death import ChildCrashedError, ChildHungError
from fastscnn_opt.processes.limits import Limits

PATIENT_S = 120.0
"""No answer takes this long, even on a slow machine."""

SERVER = """
    import ctypes, os, signal, subprocess, sys, time
    from fastscnn_opt.errors import DataError
    from fastscnn_opt.processes.server import serve

    class NearlyData(DataError):
        pass

    def refuse():
        raise NearlyData("no image here", where="tree", cure="add one")

    def fill():
        raise OSError(28, "No space left on device", "models/a.onnx")

    def stumble():
        raise KeyError("a bug")

    def chat():
        print("on stdout")
        os.system("echo from below")
        return {"said": True}

    def end(number):
        os.kill(os.getpid(), number)

    def abort():
        print("terminate called: out of luck", file=sys.stderr, flush=True)
        os.abort()

    def eat():
        held = []
        while True:
            held.append(b"x" * (16 << 20))

    def ask():
        bytearray(1 << 62)

    def spawn():
        script = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; " \
                 "time.sleep(600)'], stdout=subprocess.DEVNULL, start_new_session=True); print(p.pid, flush=True)"
        middle = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
        return {"pid": int(middle.stdout)}

    def spawn_eater():
        script = "held = []\\nwhile True: held.append(b'x' * (16 << 20))"
        subprocess.run([sys.executable, "-c", script], start_new_session=True)

    def commands(progress):
        def count(steps):
            for _ in range(steps):
                progress(1)
            return {"counted": steps}

        def wait(seconds):
            time.sleep(seconds)
            return {}

        return {
            "add": lambda first, second: {"sum": first + second}, "refuse": refuse, "fill": fill, "stumble": stumble,
            "chat": chat, "end": end, "abort": abort, "segfault": lambda: ctypes.string_at(0), "wait": wait,
            "count": count, "eat": eat, "ask": ask, "spawn": spawn, "spawn_eater": spawn_eater,
        }

    if __name__ == "__main__":
        serve(commands)
"""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the process signals of Linux")


@pytest.fixture
def server(tmp_path, monkeypatch) -> str:
    """The name of a module that serves the commands above."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "talkative_server.py").write_text(textwrap.dedent(SERVER))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"), prepend=os.pathsep)
    return "talkative_server"


@pytest.fixture
def child(server, tmp_path):
    with Child(server, name="row", log=tmp_path / "row.log", limits=Limits(PATIENT_S)) as started:
        yield started


def is_ended(pid: int) -> bool:
    """Tell whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def is_gone(pid: int) -> bool:
    """Tell whether a process ends within a patient time."""
    end = time.monotonic() + PATIENT_S
    while time.monotonic() < end:
        if is_ended(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_full_disk_is_the_user_s_and_no_crash(child):
    with pytest.raises(UserError, match=r"free some space") as caught:
        child.request("fill")
    assert (caught.value.where, caught.value.what) == ("models/a.onnx", "No space left on device")
    assert child.request("add", first=1, second=2) == {"sum": 3}


def test_answers_one_request_after_another(child):
    assert [child.request("add", first=index, second=1)["sum"] for index in range(3)] == [1, 2, 3]


def test_an_error_of_the_user_keeps_its_nearest_public_class_and_its_fields(child):
    with pytest.raises(DataError) as caught:
        child.request("refuse")
    assert type(caught.value) is DataError
    assert (caught.value.where, caught.value.what, caught.value.cure) == ("tree", "no image here", "add one")


def test_goes_on_after_an_error_of_the_user(child):
    with pytest.raises(DataError):
        child.request("refuse")
    assert child.request("add", first=1, second=1) == {"sum": 2}


def test_progress_reaches_the_caller_before_the_answer(child):
    steps = []
    assert child.request("count", steps=3, on_progress=steps.append) == {"counted": 3}
    assert steps == [1, 1, 1]


def test_what_the_process_prints_goes_to_the_log_and_not_into_answers(child, tmp_path):
    assert child.request("chat") == {"said": True}
    child.close()
    assert "from below" in (tmp_path / "row.log").read_text()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "abort",
            r"^row: the process was ended by SIGABRT during abort; its last words: .*terminate called: out of luck",
        ),
        ("segfault", r"^row: the process was ended by SIGSEGV during segfault; its last words: Fatal Python error: "),
        ("stumble", r"^row: the process ended with exit code 1 during stumble; its last words: .*KeyError: 'a bug'"),
    ],
)
def test_a_crash_is_told_with_the_last_words(child, command, words):
    with pytest.raises(ChildCrashedError, match=words):
        child.request(command)


def test_a_crash_names_the_log(child, tmp_path):
    with pytest.raises(ChildCrashedError, match=r"row\.log\)$"):
        child.request("end", number=int(signal.SIGKILL))
    assert (tmp_path / "row.log").exists()


def test_without_a_log_the_last_words_are_told_all_the_same(server):
    with (
        Child(server, name="row", log=None, limits=Limits(PATIENT_S)) as child,
        pytest.raises(ChildCrashedError, match="out of luck"),
    ):
        child.request("abort")


def test_the_last_words_are_not_those_of_an_earlier_process_with_the_same_log(server, tmp_path):
    (tmp_path / "row.log").write_text("words of another\n")
    with (
        Child(server, name="row", log=tmp_path / "row.log", limits=Limits(PATIENT_S)) as child,
        pytest.raises(ChildCrashedError) as crash,
    ):
        child.request("end", number=int(signal.SIGKILL))
    assert "words of another" not in str(crash.value)


def test_a_request_after_the_crash_is_a_crash_too(child):
    with pytest.raises(ChildCrashedError):
        child.request("abort")
    with pytest.raises(ChildCrashedError):
        child.request("add", first=1, second=1)


def test_a_module_in_the_user_s_folder_does_not_stand_in_for_another(server, tmp_path, monkeypatch):
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "json.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path / "user")
    with Child(server, name="row", log=None, limits=Limits(PATIENT_S)) as child:
        assert child.request("add", first=1, second=1) == {"sum": 2}


def test_a_hang_is_ended_and_told(server, tmp_path):
    with Child(server, name="row", log=tmp_path / "log", limits=Limits(0.2)) as child:
        with pytest.raises(ChildHungError, match=r"^row: wait gave no sign of life for 0\.2 s and was ended"):
            child.request("wait", seconds=600)
        assert is_gone(child.pid)


@linux_only
def test_a_killed_child_leaves_no_zombie(child):
    child.kill()
    assert not Path(f"/proc/{child.pid}").exists()


@linux_only
def test_an_orphan_in_a_session_of_its_own_ends_with_the_child(child):
    orphan = child.request("spawn")["pid"]
    assert not is_ended(orphan)
    child.kill()
    assert is_gone(orphan)


@pytest.mark.parametrize("command", ["eat", "spawn_eater"])
def test_memory_beyond_the_limit_is_told_and_ends_the_process(server, command):
    with Child(server, name="row", log=None, limits=Limits(PATIENT_S, 300 << 20)) as child:
        words = r"^row: the process ran out of memory: it held .* of the 300 MiB that it may, and was ended during "
        with pytest.raises(ChildCrashedError, match=words + command) as crash:
            child.request(command)
        assert is_gone(child.pid)
    assert crash.value.command == command


def test_without_a_limit_most_of_the_available_memory_is_one(server, monkeypatch):
    monkeypatch.setattr("fastscnn_opt.processes.limits.available_memory_bytes", lambda: 300 << 20)
    with (
        Child(server, name="row", log=None, limits=Limits(PATIENT_S)) as child,
        pytest.raises(ChildCrashedError, match="of the 270 MiB that it may"),
    ):
        child.request("eat")


def test_memory_below_the_limit_is_none_of_its_business(server):
    with Child(server, name="row", log=None, limits=Limits(PATIENT_S, 8 << 30)) as child:
        child.request("wait", seconds=0.2)
        assert child.request("add", first=1, second=2) == {"sum": 3}


def test_memory_that_the_system_refuses_is_told_as_such(child):
    with pytest.raises(ChildCrashedError, match="ran out of memory and ended with exit code 1 during ask"):
        child.request("ask")


def test_a_hang_keeps_what_was_asked_for(server):
    with Child(server, name="row", log=None, limits=Limits(0.2)) as child, pytest.raises(ChildHungError) as hang:
        child.request("wait", seconds=600)
    assert (hang.value.command, hang.value.arguments) == ("wait", {"seconds": 600})


@linux_only
def test_the_system_ends_the_child_rather_than_its_parent_when_memory_runs_out(child):
    child.request("add", first=1, second=1)
    score = int(Path(f"/proc/{child.pid}/oom_score_adj").read_text())
    assert score > int(Path("/proc/self/oom_score_adj").read_text())


def test_killing_twice_is_harmless(child):
    child.kill()
    child.kill()


@pytest.mark.skipif(not CAN_PAUSE, reason="this system cannot pause processes")
def test_a_paused_child_stands_still_until_it_is_resumed(child):
    child.request("add", first=1, second=1)
    child.pause()
    state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
    child.resume()
    assert state == "T"
    assert child.request("add", first=1, second=1) == {"sum": 2}


@pytest.mark.skipif(not CAN_PAUSE, reason="this system cannot pause processes")
def test_a_paused_child_can_be_closed(child):
    child.pause()
    child.close()
    assert is_gone(child.pid)


def test_pausing_an_ended_child_is_harmless(child):
    child.kill()
    child.pause()
    child.resume()


@linux_only
@pytest.mark.parametrize("preparation", ["pass", "child.pause()"])
def test_a_child_ends_when_its_parent_is_killed(server, preparation):
    script = f"""
        import os, signal
        from fastscnn_opt.processes.child import Child
        from fastscnn_opt.processes.limits import Limits
        child = Child({server!r}, name="row", log=None, limits=Limits(600))
        child.request("add", first=1, second=1)
        {preparation}
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    parent = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, check=False)
    assert parent.returncode == -signal.SIGKILL
    assert is_gone(int(parent.stdout))


@linux_only
def test_an_interrupt_at_the_terminal_does_not_reach_the_child(child):
    child.request("add", first=1, second=1)
    assert os.getsid(child.pid) != os.getsid(0)
    os.kill(child.pid, signal.SIGINT)
    assert child.request("add", first=1, second=1) == {"sum": 2}
