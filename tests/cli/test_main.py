"""The command as a whole: help, misspelled verbs, and how errors end."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from fastscnn_opt.cli import main as cli
from fastscnn_opt.errors import CheckFailedError, DataError


@pytest.fixture
def failing(monkeypatch):
    """Let the verb `passes` raise the error given."""

    def install(error):
        def command():
            raise error

        import fastscnn_opt.cli.verbs.rewriting.passes as module

        monkeypatch.setattr(module, "command", command)

    return install


def test_help_lists_every_verb_and_cuts_no_summary(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(["--help"]) == 0
    listed = capsys.readouterr().out
    assert "...\n" not in listed.partition("Commands:")[2]
    assert all(f"\n  {verb} " in listed for verb in cli.VERBS)


def test_version_is_shown_without_a_verb(capsys):
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"fastscnn-opt {version('fastscnn-opt')}\n"


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_explains_itself(verb, capsys):
    assert cli.run([verb, "--help"]) == 0
    assert "Usage: fastscnn-opt" in capsys.readouterr().out


def test_a_misspelled_verb_names_the_nearest(capsys):
    assert cli.run(["aply"]) == 2
    assert "Did you mean 'apply'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DataError("a.png: is no image"), 1, "error: a.png: is no image\n"),
        (CheckFailedError("the gate failed"), 3, "error: the gate failed\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            OSError(28, "No space left on device", "m.onnx"),
            1,
            "error: m.onnx: No space left on device; free some space",
        ),
        (ZeroDivisionError("oops"), 1, "internal error: ZeroDivisionError: oops (run again with --debug"),
    ],
)
def test_errors_end_with_one_sentence_and_their_exit_code(failing, capsys, error, code, says):
    failing(error)
    assert cli.run(["passes"]) == code
    assert capsys.readouterr().err.startswith(says)


@pytest.mark.parametrize("module", ["typer", "fastscnn_opt.cli.verbs.rewriting.passes"])
def test_an_interrupt_while_modules_are_imported_leaves_no_traceback(module):
    script = (
        "import runpy, sys\n"
        "class Finder:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder); sys.argv = ['fastscnn-opt', 'passes']\n"
        "runpy.run_module('fastscnn_opt', run_name='__main__')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("value", ["3", "x"])
def test_a_wrong_value_is_told_with_its_option_and_not_in_the_words_of_a_library(capsys, value):
    assert cli.run(["bench", "m.onnx", "--rounds", value]) == 2
    words = capsys.readouterr().err.splitlines()[-1]
    assert "'--rounds'" in words
    assert value in words
    assert "Input should" not in words


@pytest.mark.parametrize(
    "words", [["report", "r", "--max-drop", "inf"], ["search", "m", "--run", "r", "--minutes", "inf"]]
)
def test_numbers_that_are_not_finite_are_wrong_usage(capsys, words):
    assert cli.run(words) == 2
    assert "is no finite number" in capsys.readouterr().err


def test_debug_shows_the_traceback(failing):
    failing(DataError("a.png: is no image"))
    with pytest.raises(DataError):
        cli.run(["passes", "--debug"])


HEAVY = {
    "numpy", "onnx", "onnxruntime", "onnx_graphsurgeon", "torch", "rich", "PIL", "psutil", "filelock", "libcst",
    "jinja2", "altair", "optuna",
}  # fmt: skip


def imported_by(code):
    """Return the names of all modules after a new Python process ran `code`."""
    script = f"import sys; from fastscnn_opt.cli import main; {code}; print(*sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stderr.split())


def test_help_imports_nothing_heavy():
    assert imported_by("main.run(['--help'])") & (HEAVY | {"pydantic"}) == set()


def test_no_module_of_a_verb_imports_anything_heavy():
    assert imported_by("main.build('*')") & HEAVY == set()


def test_a_reader_that_goes_away_makes_no_noise():
    command = f"{sys.executable} -m fastscnn_opt passes --format json | head -c 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[", "")


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_quiet_works_before_and_after_the_verb(model_file, capsys, place, option):
    arguments = ["apply", str(model_file), "-p", "fp16-output", "--dry-run"]
    assert cli.run([option, *arguments] if place == "before" else [*arguments, option]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "would change output1" in captured.out
    cli.run(arguments)
    assert capsys.readouterr().err == "1. fp16-output (4 nodes)\n"


@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_lets_the_modules_speak_on_stderr(capsys, monkeypatch, place):
    import logging

    import fastscnn_opt.cli.verbs.rewriting.passes as module

    monkeypatch.setattr(module, "command", lambda: logging.getLogger("fastscnn_opt.scoring.x").debug("deep inside"))
    assert cli.run(["--verbose", "passes"] if place == "before" else ["passes", "-v"]) == 0
    assert "fastscnn_opt.scoring.x: deep inside" in capsys.readouterr().err
    cli.run(["passes"])
    assert capsys.readouterr().err == ""


def test_quiet_and_verbose_together_are_wrong_usage(capsys):
    assert cli.run(["passes", "--quiet", "--verbose"]) == 2
    assert capsys.readouterr().err == "Error: give --quiet or --verbose, not both\n"
