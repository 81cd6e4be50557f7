"""The verb `apply` from the outside: files, JSON, dry runs, errors and exit codes."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from graphs import parse, random_input, save

from fastscnn_opt.cli.main import run
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import fingerprint, save_model


@pytest.fixture
def model_file(tiny_model, tmp_path):
    save_model(tiny_model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def apply(model_file, *arguments):
    return run(["apply", str(model_file), *map(str, arguments)])


def test_the_rewritten_model_is_written_and_the_source_left_alone(model_file, tmp_path):
    before = model_file.read_bytes()
    assert apply(model_file, "--passes", "resize-nearest{only=head}", "-o", tmp_path / "out.onnx") == 0
    modes = [
        {attribute.name: attribute for attribute in node.attribute}["mode"].s
        for node in load_model(tmp_path / "out.onnx").graph.node
        if node.op_type == "Resize"
    ]
    assert modes == [b"linear", b"nearest"]
    assert model_file.read_bytes() == before


def test_the_model_itself_is_never_overwritten(model_file, capsys):
    before = model_file.read_bytes()
    assert apply(model_file, "--passes", "fp16-output", "-o", model_file) == 1
    assert "is the model itself" in capsys.readouterr().err
    assert model_file.read_bytes() == before


def test_json_goes_to_stdout_alone_in_the_documented_shape(model_file, tmp_path, capsys):
    assert (
        apply(model_file, "--passes", "resize-nearest,fp16-output", "-o", tmp_path / "o.onnx", "--format", "json") == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert result["pipeline"] == "resize-nearest,fp16-output"
    assert (result["nodes_before"], result["nodes_after"]) == (4, 5)
    first, second = result["steps"]
    assert (first["pass"], first["contract"], len(first["changes"])) == ("resize-nearest", "lossy", 2)
    assert set(first["changes"][0]) == {"node", "what"}
    assert (second["contract"], second["verified"]) == ("rounding", True)
    assert 0 < second["max_abs_diff"] < 0.01


def test_a_dry_run_writes_nothing(model_file, tmp_path, capsys):
    assert apply(model_file, "--passes", "fp16-output", "-o", tmp_path / "out.onnx", "--dry-run") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    captured = capsys.readouterr()
    assert f"-o {tmp_path / 'out.onnx'}: nothing is written there, because of --dry-run\n" in captured.err
    assert captured.out == (
        "fp16-output: rounding; would change 1, leaves 0\n"
        "  would change output1: float32 -> float16\n"
        "4 -> 5 nodes; nothing was written (--dry-run)\n"
    )


def test_a_dry_run_says_why_a_node_is_left_after_the_passes_before(model_file, capsys):
    assert apply(model_file, "--passes", "resize-nearest{only=head},resize-nearest,fp16-output", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "  would change enlarge: linear -> nearest, round_prefer_ceil",
        "  leaves shrink: not selected by only=head",
    ]
    assert "  leaves enlarge: mode is nearest, not linear" in lines


def test_a_dry_run_in_json_has_the_reasons_and_is_not_verified(model_file, tmp_path, capsys):
    assert apply(model_file, "--passes", "resize-nearest{only=head}", "--dry-run", "--format", "json") == 0
    (step,) = json.loads(capsys.readouterr().out)["steps"]
    assert step["skips"] == [{"node": "shrink", "why": "not selected by only=head"}]
    assert (step["verified"], step["max_abs_diff"]) == (None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_dry_run_dumps_nothing_and_says_so(model_file, tmp_path, capsys):
    assert apply(model_file, "--passes", "fp16-output", "--dry-run", "--dump", tmp_path / "dump") == 0
    assert f"--dump {tmp_path / 'dump'}: nothing is written there, because of --dry-run\n" in capsys.readouterr().err
    assert not (tmp_path / "dump").exists()


def test_dumps_are_written_per_pass(model_file, tmp_path):
    folder = tmp_path / "dump"
    assert apply(model_file, "--passes", "fp16-output", "-o", tmp_path / "out.onnx", "--dump", folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["00-input.onnx", "01-fp16-output.onnx"]


def test_a_pipeline_file_is_the_same_as_its_text(model_file, tmp_path):
    (tmp_path / "p.txt").write_text("resize-nearest,\nfp16-output\n")
    apply(model_file, "--passes", f"@{tmp_path / 'p.txt'}", "-o", tmp_path / "a.onnx")
    apply(model_file, "--passes", "resize-nearest,fp16-output", "-o", tmp_path / "b.onnx")
    assert fingerprint(load_model(tmp_path / "a.onnx")) == fingerprint(load_model(tmp_path / "b.onnx"))


def test_a_misspelled_pass_points_at_its_place_and_leaves_no_file(model_file, tmp_path, capsys):
    assert apply(model_file, "--passes", "fp16-output,resize-nearst", "-o", tmp_path / "out.onnx") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: unknown pass 'resize-nearst'; did you mean 'resize-nearest'?\n"
        "  fp16-output,resize-nearst\n"
        "              ^^^^^^^^^^^^^\n"
    )
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--passes", "fp16-output"], 2),
        (["-o", "x.onnx"], 2),
        (["--passes", "fp16-output", "-o", "/no/such/folder/x.onnx"], 1),
        (["--passes", "drop-outputs{keep=output9}", "-o", "x.onnx"], 1),
    ],
)
def test_exit_codes_tell_usage_from_input(model_file, arguments, code, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert apply(model_file, *arguments) == code
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_truncated_model_is_one_sentence(model_file, tmp_path, capsys):
    model_file.write_bytes(model_file.read_bytes()[:100])
    assert apply(model_file, "--passes", "fp16-output", "-o", tmp_path / "out.onnx") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_an_empty_pipeline_copies_the_model(model_file, tmp_path):
    assert apply(model_file, "--passes", "", "-o", tmp_path / "out.onnx") == 0
    assert onnx.load(tmp_path / "out.onnx") == onnx.load(model_file)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
def test_a_model_that_needs_more_memory_than_it_may_writes_nothing(tmp_path):
    text = "g (float[1,16,2048,2048] x) => (float[1,16,2048,2048] y) { a = Relu(x) y = Identity(a) }"
    file = save(parse(text), tmp_path / "m.onnx")
    words = [
        "apply",
        str(file),
        "--passes",
        "remove-noops",
        "-o",
        str(tmp_path / "out.onnx"),
        "--memory-limit",
        "300 MiB",
    ]
    ended = subprocess.run([sys.executable, "-m", "fastscnn_opt", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"error: {file}: the process ran out of memory: it held ")
    assert list(tmp_path.iterdir()) == [file]


def test_contracts_are_checked_on_the_inputs_given(tmp_path, capsys):
    save(
        parse("g (int64[2] p, float[4] x) => (float[n,m] y) { i = Identity(x) s = Neg(p) y = Reshape(i, s) }"),
        tmp_path / "m.onnx",
    )
    out = tmp_path / "out.onnx"
    assert apply(tmp_path / "m.onnx", "-p", "remove-noops", "-o", out) == 1
    assert "--input FILE.npz" in capsys.readouterr().err
    np.savez(tmp_path / "in.npz", p=np.array([-2, -2], np.int32))
    assert apply(tmp_path / "m.onnx", "-p", "remove-noops", "-o", out, "--input", tmp_path / "in.npz") == 0


def test_inputs_are_not_read_where_nothing_runs(model_file, tmp_path):
    arguments = ("-p", "remove-noops", "-o", tmp_path / "o.onnx", "--input", tmp_path / "in.npz")
    assert apply(model_file, *arguments, "--no-verify") == 2


def test_a_library_that_prints_keeps_off_the_json(tmp_path):
    text = "g (float[4] x) => (seq(float[4]) s) { a = Identity(x) s = SequenceConstruct(a, x) }"
    save(parse(text), tmp_path / "s.onnx")
    command = [sys.executable, "-m", "fastscnn_opt", "apply", tmp_path / "s.onnx", "-p", "simplify,fp16,remove-noops"]
    done = subprocess.run(
        [*command, "-o", tmp_path / "o.onnx", "--format", "json"], capture_output=True, text=True, check=True
    )
    assert [step["pass"] for step in json.loads(done.stdout)["steps"]] == ["simplify", "fp16", "remove-noops"]


def test_recurrent_networks_in_float16_are_near_float_or_refused_in_a_sentence(tmp_path):
    """onnxruntime has crashed on some of these operators in float16, which must not end this process."""
    text = """g (float[3,1,2] x) => (float[3,1,1,2] y, float[3,1,1,2] z, float[3,1,1,2] v) {
        y = LSTM<hidden_size=2>(x, w4, r4) z = GRU<hidden_size=2>(x, w3, r3) v = RNN<hidden_size=2>(x, w1, r1)
    }"""
    weights = {f"{name}{gates}": random_input(1, 2 * gates, 2) for name in "wr" for gates in (1, 3, 4)}
    save(parse(text, 14, **weights), tmp_path / "rnn.onnx")
    command = [sys.executable, "-m", "fastscnn_opt", "apply", tmp_path / "rnn.onnx", "-p", "fp16"]
    done = subprocess.run([*command, "-o", tmp_path / "o.onnx"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or done.stderr.splitlines()[-1].startswith("error: ")
    assert (tmp_path / "o.onnx").exists() == (done.returncode == 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
def test_a_crash_of_a_library_is_one_sentence_and_writes_nothing(model_file, tmp_path):
    program = """
import os, signal, onnxruntime
from fastscnn_opt.cli.main import main
onnxruntime.InferenceSession = lambda *_, **__: os.kill(os.getpid(), signal.SIGSEGV)
main()
"""
    command = [sys.executable, "-c", program, "apply", model_file, "-p", "fp16-output", "-o", tmp_path / "out.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"error: {model_file}: a library crashed in the verification of the pass fp16-output (--no-verify"
    )
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("rest", [["-o", "out.onnx"], ["--dry-run"]])
def test_a_pass_that_changes_nothing_is_a_failed_check_where_a_change_is_required(
    capsys, model_file, tmp_path, monkeypatch, rest
):
    monkeypatch.chdir(tmp_path)
    assert run(["apply", str(model_file), "-p", "resize-nearest,drop-outputs", "--require-change", *rest]) == 3
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1] for line in errors][-1] == "drop-outputs"
    assert "changed nothing" in errors[-1]
    assert not (tmp_path / "out.onnx").exists()


def test_passes_that_change_something_pass_where_a_change_is_required(model_file, tmp_path):
    output = tmp_path / "out.onnx"
    assert run(["apply", str(model_file), "-p", "static-batch{n=3}", "--require-change", "-o", str(output)]) == 0
    assert output.is_file()
