"""How a shell completes a word, and modules that completion must not import."""

import os
import subprocess
import sys

import pytest

from fastscnn_opt.cli.main import run


def complete(*words):
    """Ask for completions as the script for bash does; return them, and the modules that were imported for it."""
    environment = os.environ | {
        "COMP_WORDS": "\n".join(["fastscnn-opt", *words]),
        "COMP_CWORD": str(len(words)),
        "_FASTSCNN_OPT_COMPLETE": "complete_bash",
    }
    script = "import sys; from fastscnn_opt.cli.main import run; run([]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return result.stdout.split(), set(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ex"], ["explain", "export"]),
        (["apply", "--dr"], ["--dry-run"]),
        (["explain", "resize"], ["resize-nearest"]),
        (["apply", "m.onnx", "--passes", "fp16-output,resi"], ["fp16-output,resize-nearest"]),
        (["bench", "--target", "tens"], ["tensorrt"]),
        (["patch", "sh"], ["show"]),
    ],
)
def test_the_shell_completes_verbs_options_passes_and_targets(words, expected):
    assert complete(*words)[0] == expected


def test_completing_imports_one_verb_and_nothing_heavy():
    _, loaded = complete("explain", "r")
    assert "fastscnn_opt.cli.verbs.rewriting.explain" in loaded
    assert "fastscnn_opt.cli.verbs.scoring.score" not in loaded
    assert {"numpy", "onnx", "onnx_graphsurgeon", "torch"} & loaded == set()


def test_the_completion_script_is_shown(capsys, monkeypatch):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")  # otherwise that of the parent process
    assert run(["--show-completion"]) == 0
    assert "_FASTSCNN_OPT_COMPLETE=complete_bash" in capsys.readouterr().out
