"""Plug-ins that misbehave end in a sentence that names them, and never in a success or in noise on stdout."""

import json
import os
import subprocess
import sys

import onnx
import pytest
from graphs import parse

from fastscnn_opt.cli.main import run

HEAD = """
    import os, sys
    from dataclasses import dataclass
    from typing import ClassVar

    from fastscnn_opt import Change, Contract, Pass, Skip

    @dataclass(frozen=True)
    class Odd(Pass):
        \"\"\"Do odd things.\"\"\"

        name: ClassVar[str] = "odd"
        contract: ClassVar[Contract] = Contract.EXACT
"""

REWRITE = """
        def rewrite(self, graph):
            {}
            yield Change(graph.nodes[0], "renamed")
"""

RENAME = REWRITE.format('graph.nodes[0].name = "other"')

IN_USE = {
    "exit": (REWRITE.format("sys.exit(0)"), "the pass odd failed: SystemExit: 0"),
    "cancelled": (REWRITE.format("raise GeneratorExit"), "the pass odd failed: GeneratorExit"),
    "no text": (
        REWRITE.format('raise type("E", (Exception,), {"__str__": lambda _: 1 / 0})'),
        "the pass odd failed: E: <exception str() failed>",
    ),
    "other steps": (REWRITE.format("yield 5"), "the pass odd yielded 5, which is neither"),
    "no texts": (REWRITE.format('yield Skip("a", None)'), "the pass odd yielded Skip('a', None), whose parts"),
    "no steps": ("    " * 2 + "def rewrite(self, graph): return None", "the pass odd failed: TypeError"),
    "no graph": (REWRITE.format("graph.nodes[0].inputs = [5]"), "the pass odd left an invalid graph: "),
    "promise": (RENAME + "        def promise(self): return 5", "the pass odd does not say what it promises"),
    "expected": (
        RENAME + "        def expected(self, before, feeds): sys.exit(0)",
        "which outputs it expects: SystemExit",
    ),
    "no outputs": (
        RENAME + "        def expected(self, before, feeds): return 5",
        "the outputs that the pass odd expects cannot be compared",
    ),
    "options": (RENAME + "        def __post_init__(self): sys.exit(0)", "the pass odd cannot be built: SystemExit: 0"),
}

UNUSABLE = {
    "exit": ("    sys.exit(0)", "cannot be imported: SystemExit: 0"),
    "no rewrite": ("", "has no method rewrite"),
    "no contract": (RENAME + "    Odd.contract = 'exact'", "has no contract"),
    "not a class": (RENAME + "    Odd = Odd()", "is no pass of that name"),
    "unknown type": (RENAME + "        size: 'Nowhere' = 1", "has options that cannot be described: NameError"),
    "tolerance": (RENAME + "    Odd.tolerance = None", "has a tolerance that is no number"),
}


@pytest.fixture
def files(tmp_path):
    """A model, and the place for the result."""
    onnx.save(parse("g (float[2] x) => (float[2] y) { [a] h = Relu(x) [b] y = Neg(h) }"), tmp_path / "m.onnx")
    return str(tmp_path / "m.onnx"), tmp_path / "o.onnx"


@pytest.fixture
def install(plug_in, monkeypatch):
    def write(code):
        plug_in("odd", HEAD + code, passes=["Odd"])
        monkeypatch.delitem(sys.modules, "odd_plugin", raising=False)

    return write


@pytest.mark.parametrize(("code", "says"), IN_USE.values(), ids=IN_USE)
def test_a_pass_that_misbehaves_is_named(install, files, capsys, code, says):
    install(code)
    assert run(["apply", files[0], "-p", "odd", "-o", str(files[1])]) == 1
    assert says in capsys.readouterr().err
    assert not files[1].exists()


@pytest.mark.parametrize(("code", "says"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_pass_that_cannot_be_used_is_listed_with_the_reason(install, capsys, code, says):
    install(code)
    assert run(["passes", "--format", "json"]) == 0
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert says in listed["odd"]["summary"]
    assert listed["simplify"]["contract"] == "exact"
    assert run(["apply", "m.onnx", "-p", "odd", "-o", "o.onnx"]) == 1
    assert says in capsys.readouterr().err


def test_what_a_pass_prints_goes_to_stderr(install, files, capsys):
    install(REWRITE.format('print("at work"); graph.nodes[0].name = "other"') + "    print('at import')")
    assert run(["apply", files[0], "-p", "odd", "-o", str(files[1]), "--format", "json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["steps"][0]["pass"] == "odd"
    assert "at import\n" in printed.err
    assert "at work\n" in printed.err


def test_a_pass_that_ends_the_process_is_no_success(install, files):
    install(REWRITE.format("os._exit(0)"))
    command = [sys.executable, "-m", "fastscnn_opt", "apply", files[0], "-p", "odd", "-o", str(files[1])]
    ended = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "the pass odd: the process ended with exit code 0" in ended.stderr


COMMAND = [sys.executable, "-m", "fastscnn_opt", "apply", "m.onnx", "-p", "odd", "-o", "o.onnx", "--format", "json"]


def apply_in(folder):
    return subprocess.run(COMMAND, cwd=folder, env=os.environ, capture_output=True, text=True, check=False, timeout=60)


def test_a_pass_that_changes_the_current_folder_does_not_move_the_result(install, files, tmp_path):
    install(REWRITE.format('os.chdir("/"); graph.nodes[0].name = "other"') + "    os.chdir('/')")
    assert apply_in(tmp_path).returncode == 0
    assert files[1].is_file()


def test_a_pass_may_change_to_another_folder_where_the_current_one_was_removed(install, files, tmp_path, monkeypatch):
    install(REWRITE.format('os.chdir("/"); graph.nodes[0].name = "other"'))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["apply", files[0], "-p", "odd", "-o", str(files[1]), "-q"]) == 0


def test_a_thread_of_a_pass_neither_keeps_the_command_from_ending_nor_prints_into_the_result(install, files, tmp_path):
    install(
        REWRITE.format('start(); graph.nodes[0].name = "other"')
        + """
    import threading, time
    def noise():
        while True:
            print("noise")
            time.sleep(0.001)
    def start():
        threading.Thread(target=noise, name="talker").start()
"""
    )
    ended = apply_in(tmp_path)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["steps"][0]["pass"] == "odd"
    assert "noise\n" in ended.stderr
    assert "the thread talker of a plug-in was still running, and was ended\n" in ended.stderr
    assert files[1].is_file()


@pytest.mark.parametrize("listed", [b"[fastscnn_opt.passes]\nodd\n", b"[fastscnn_opt.passes]\n\xff = a:b\n"])
def test_a_distribution_whose_entry_points_cannot_be_read_is_left_out_with_a_warning(
    install, files, tmp_path, caplog, capsys, listed
):
    install(RENAME)
    (tmp_path / "plugins" / "odd-1.0.dist-info" / "entry_points.txt").write_bytes(listed)
    assert run(["apply", files[0], "-p", "remove-noops", "-o", str(files[1])]) == 0
    (text,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    folder = tmp_path / "plugins" / "odd-1.0.dist-info"
    assert text.startswith(f"the distribution in {folder} is left out, because its entry_points.txt")
    assert run(["passes", "--format", "json"]) == 0
    assert "odd" not in capsys.readouterr().out
