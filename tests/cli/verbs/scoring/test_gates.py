"""Gates for CI, from the outside: the limits of `compare`, `eval` and `bench`, and how failures are reported."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from runs import finished_run, record, timed_on, write_run

from fastscnn_opt.cli.main import run
from fastscnn_opt.scoring.records import as_json

pytestmark = pytest.mark.usefixtures("brief_timing")

FAST = ("--rounds", "5", "--threads", "1")


@pytest.fixture
def models(here, tmp_path, monkeypatch):
    """A network without a mistake, one of the same function, and a slower one that is wrong; return their images."""
    monkeypatch.chdir(tmp_path)
    model = onnx.load(here / "net.onnx")
    onnx.save(model, "old.onnx")
    model.doc_string = "the same"
    onnx.save(model, "same.onnx")
    (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == "w")
    weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), "w"))
    model.graph.node[-1].output[0] = "s0"
    for index in range(40):
        model.graph.node.append(onnx.helper.make_node("Softmax", [f"s{index}"], [f"s{index + 1}"], axis=1))
    model.graph.node[-1].output[0] = "t6"
    onnx.save(model, "worse.onnx")
    return ("--data", here / "tree")


def ended(capsys, *words) -> tuple[int, str, list[str]]:
    """Return exit code, stdout, and the lines of errors."""
    code = run([*map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, [line for line in captured.err.splitlines() if "error: " in line or "::error" in line]


def test_two_models_within_the_limits_pass(capsys, models):
    words = ("compare", "old.onnx", "same.onnx", *models, "--max-drop", 0.2, "--max-slowdown", 50, *FAST)
    code, out, errors = ended(capsys, *words, "--format", "json")
    assert (code, errors) == (0, [])
    table = json.loads(out)
    assert table["baseline"] == "old.onnx"
    assert [(row["variant"], row["status"], row["gate"], row["mIoU_drop"]) for row in table["rows"]] == [
        ("old.onnx", "ok", "passed", 0),
        ("same.onnx", "ok", "passed", 0),
    ]
    assert table["rows"][1]["ratio_low"] <= table["rows"][1]["ratio"] <= table["rows"][1]["ratio_high"]


def test_two_models_beyond_the_limits_end_with_3_and_a_line_for_each(capsys, models):
    words = ("compare", "old.onnx", "worse.onnx", *models, "--max-drop", 0.01, "--max-slowdown", 1.05, *FAST)
    code, out, errors = ended(capsys, *words, "--format", "md")
    assert code == 3
    drop, slowdown = errors
    assert drop.startswith("error: worse.onnx: lost ")
    assert drop.endswith(" points of mIoU against 'old.onnx'; at most 0.01 may be lost")
    assert slowdown.startswith("error: worse.onnx: takes ")
    assert slowdown.endswith("times as long as 'old.onnx'; at most 1.05 times is allowed")
    assert out.splitlines()[0].startswith("| variant |")
    assert "**Gate: failed**" in out
    assert sum(line.startswith("- worse.onnx: ") for line in out.splitlines()) == 2


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The run folder ``one``, and ``two``, where a row has lost 59 points."""
    monkeypatch.chdir(tmp_path)
    first = finished_run()
    fast = first.plan[1]
    write_run(tmp_path / "one", first.plan, first.records)
    write_run(tmp_path / "two", first.plan, [first.records[0], record(fast, 0.004)])


@pytest.mark.usefixtures("runs")
def test_two_equal_runs_pass(capsys):
    code, out, errors = ended(capsys, "compare", "one", "one", "--max-drop", 0.2, "--format", "md")
    assert (code, errors) == (0, [])
    assert out.endswith("\n**Gate: passed**\n")


@pytest.mark.usefixtures("runs")
def test_two_runs_of_different_hosts_are_compared_with_a_note(capsys):
    for folder in ("one", "two"):
        run_there = timed_on(finished_run(), *[(f"host {folder}", "A", 8)] * 2)
        lines = [json.dumps(as_json(session)) + "\n" for session in run_there.sessions]
        Path(folder, "timings.jsonl").write_text("".join(lines))
    assert run(["compare", "one", "two", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert [row["other"]["host"] for row in json.loads(captured.out)["rows"]] == ["host two"] * 2
    assert captured.err.startswith("note: of 2 rows, 2 were timed on different machines, host one (A; 8 cores) in")


@pytest.mark.usefixtures("runs")
def test_two_runs_59_points_apart_fail(capsys):
    code, _, errors = ended(capsys, "compare", "one", "two", "--max-drop", 0.2)
    assert code == 3
    assert errors == [
        "error: fast (onnxruntime, batch 1): lost 59.00 points of mIoU against the first run; at most 0.2 may be lost"
    ]


@pytest.mark.usefixtures("runs")
def test_the_json_of_a_failed_gate_is_the_result_with_the_error(capsys):
    code, out, _ = ended(capsys, "compare", "one", "two", "--max-drop", 0.2, "--format", "json")
    result = json.loads(out)
    assert code == 3
    assert [row["gate"] for row in result["rows"]] == ["passed", "failed"]
    (breach,) = result["error"]["breaches"]
    assert (result["error"]["kind"], breach["where"]) == ("GateError", "fast (onnxruntime, batch 1)")


def test_the_json_of_a_mistake_is_the_error_alone(capsys, tmp_path):
    code, out, _ = ended(capsys, "compare", tmp_path / "gone", "--format=json")
    error = json.loads(out)
    assert (code, list(error)) == (1, ["error"])
    assert (error["error"]["kind"], error["error"]["where"]) == ("RunError", str(tmp_path / "gone"))


@pytest.mark.usefixtures("runs")
def test_github_gets_an_annotation_for_each_breach(capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    code, out, errors = ended(capsys, "compare", "one", "two", "--max-drop", 0.2, "--format", "json")
    assert code == 3
    assert errors[1].startswith("::error title=fastscnn-opt compare::fast (onnxruntime, batch 1): lost 59.00 points")
    assert "error" in json.loads(out)  # stdout is JSON alone


def test_an_annotation_stays_on_one_line_and_keeps_its_percent_sign(capsys, models, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, _, errors = ended(capsys, "eval", "worse.onnx", *models, "--min-miou", 99)
    assert errors[1].endswith(" %25; at least 99 %25 is asked for")


@pytest.mark.parametrize(("model", "expected"), [("old.onnx", 0), ("worse.onnx", 3)])
def test_the_miou_of_eval_has_a_limit_in_percent(capsys, models, model, expected):
    words = ("eval", model, *models, "--min-miou", 99, "--format", "json")
    code, out, errors = ended(capsys, *words)
    assert (code, len(errors)) == (expected, expected // 3)
    assert "mIoU" in json.loads(out)


def test_a_limit_of_the_miou_as_a_fraction_is_wrong_usage():
    assert run(["eval", "old.onnx", "--synthetic", "1", "--min-miou", "0.685"]) == 2


@pytest.mark.parametrize(("limit", "expected"), [("0.0001", 0), ("1000", 3)])
@pytest.mark.usefixtures("models")
def test_the_ratio_of_bench_has_a_limit(capsys, limit, expected):
    code, _, errors = ended(capsys, "bench", "old.onnx", "worse.onnx", "--min-ratio", limit, *FAST)
    assert code == expected
    assert [line.split(" is ")[0] for line in errors] == ["error: worse.onnx:"][: expected // 3]


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "one", "--max-drop", "1"],
        ["compare", "one", "two", "--rounds", "5"],
        ["compare", "one", "--synthetic", "1"],
        ["compare", "one/run.json", "two"],
        ["bench", "one.onnx", "--min-ratio", "2"],
    ],
)
@pytest.mark.usefixtures("runs")
def test_an_option_without_effect_is_wrong_usage(words):
    assert run(words) == 2


@pytest.mark.usefixtures("models")
def test_a_variant_starts_from_a_model_of_its_own(capsys, here, tmp_path):
    text = f'[model]\npath = "old.onnx"\n[data]\nroot = "{here}/tree"\n[[variant]]\nname = "a"\n'
    file = tmp_path / "variants.toml"
    file.write_text(f'{text}[[variant]]\nname = "b"\npath = "worse.onnx"\n')
    words = ("score", file, "--run", "run", *FAST, "--format", "json")
    code, out, _ = ended(capsys, *words)
    before = json.loads(out)["rows"]
    assert (code, before[0]["path"], before[1]["path"]) == (0, None, str(tmp_path / "worse.onnx"))
    assert before[0]["mIoU"] != before[1]["mIoU"]
    shutil.copy("old.onnx", "worse.onnx")  # the row is scored again, because the content of its file has changed
    code, out, _ = ended(capsys, *words)
    after = json.loads(out)["rows"]
    assert after[1]["mIoU"] == after[0]["mIoU"] == before[0]["mIoU"]


@pytest.mark.usefixtures("models")
def test_a_model_of_a_variant_that_is_missing_is_one_sentence(capsys, tmp_path):
    file = tmp_path / "variants.toml"
    file.write_text(
        '[model]\npath = "old.onnx"\n[data]\nroot = "{here}/tree"\n[[variant]]\nname = "b"\npath = "gone.onnx"\n'
    )
    code, _, errors = ended(capsys, "score", file, "--run", "run")
    assert code == 1
    assert "variant 'b': path: there is no file" in errors[0]
