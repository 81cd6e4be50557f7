"""A short run of the commands on hostile models."""

import subprocess
import sys
from pathlib import Path

import pytest
from hostile_graphs import KINDS, hostile_graph
from run_commands import Ended, problem

RUN = Path(__file__).with_name("run_commands.py")


def test_a_short_run_finds_nothing(tmp_path):
    options = ["--graphs", "2", "--first", "30", "--mutants", "0", "--keep", str(tmp_path / "f")]
    command = [sys.executable, str(RUN), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", range(len(KINDS)), ids=KINDS)
def test_a_kind_is_the_same_for_the_same_number(number):
    assert hostile_graph(number) == hostile_graph(number)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended(None, "", "", 50, []), "no end within"),
        (Ended(-11, "", "", 50, []), "exit code -11"),
        (Ended(2, "", "error: wrong", 50, []), "exit code 2"),
        (Ended(1, "", "", 50, []), "0 errors"),
        (Ended(0, "", "error: wrong", 50, []), "1 errors"),
        (Ended(1, "", "error: one\nerror: two", 50, []), "2 errors"),
        (Ended(1, "", "error: internal error: KeyError", 50, []), "an internal error"),
        (Ended(1, "", "error: \x1b]0;title\x07", 50, []), "unprintable"),
        (Ended(0, "", "", 3000, []), "3000 MiB"),
        (Ended(0, "", "", 50, ["python"]), "left running"),
    ],
)
def test_a_wrong_end_is_a_problem(ended, words):
    assert words in problem(ended)


@pytest.mark.parametrize("ended", [Ended(0, "a table", "a note", 50, []), Ended(3, "", "error: it differs", 50, [])])
def test_a_right_end_is_none(ended):
    assert problem(ended) == ""
