"""The verb `lint` from the outside."""

import json

import onnx
import pytest
from graphs import parse

from fastscnn_opt.cli.main import run
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.manager import PassManager


@pytest.fixture
def model_file(tmp_path):
    """Two outputs of logits at 1024 x 2048, one of them resized without align_corners."""
    model = parse("""
        g (float[1,3,1024,2048] image) => (float[1,19,1024,2048] output1, float[1,19,1024,2048] output2)
        <float[4] half = {1, 1, 0.5, 0.5}, float[4] twice = {1, 1, 2, 2}>
        {
            [shrink] s = Resize<mode="linear", coordinate_transformation_mode="align_corners">(image, , half)
            [conv] c = Conv(s, w)
            [enlarge] output1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(c, , twice)
            [aux] output2 = Resize<mode="linear">(c, , twice)
        }
    """)
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [19, 3, 1, 1], [0.1] * 57)
    model.graph.initializer.append(weight)
    save_model(model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def lint(model_file, *arguments):
    return run(["lint", str(model_file), "--target", "ascend310", *arguments])


def codes(text):
    return [finding["code"] for finding in json.loads(text)["findings"]]


def test_errors_make_the_exit_code_3(model_file, capsys):
    assert lint(model_file) == 3
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == f"{model_file}: checked against the rules of ascend310"
    assert "A111 error aux" in captured.out
    assert "errors: 1, warnings: 5" in captured.out
    assert captured.err.splitlines()[-1].startswith(f"error: {model_file}: lint errors on ascend310: 1 of 6")


def test_on_a_later_release_white_lists_are_no_advice(model_file, capsys):
    assert lint(model_file, "--cann", "6.0", "--format", "json") == 3
    found = codes(capsys.readouterr().out)
    assert ("A203" in found, "A204" in found) == (False, True)
    assert lint(model_file, "--cann", "six") == 1
    assert "cann" in capsys.readouterr().err


def test_json_goes_to_stdout_alone(model_file, capsys):
    assert lint(model_file, "--format", "json") == 3
    result = json.loads(capsys.readouterr().out)
    assert (result["target"], result["errors"], result["warnings"]) == ("ascend310", 1, 5)
    assert set(result["findings"][0]) == {"code", "severity", "node", "message", "cure", "passes"}


def test_the_fix_pipeline_mends_what_it_says(model_file, tmp_path, capsys):
    assert lint(model_file, "--fix-pipeline") == 0
    pipeline = capsys.readouterr().out.strip()
    assert pipeline == "drop-outputs,fp16-output"
    save_model(PassManager(pipeline, verify=False).run(load_model(model_file)).model, tmp_path / "cured.onnx")
    assert lint(tmp_path / "cured.onnx") == 0
    assert "errors: 0, warnings: 0" in capsys.readouterr().out


def test_what_no_pass_mends_is_told_beside_the_pipeline(model_file, capsys):
    lint(model_file, "--fix-pipeline")
    assert "A111 aux" in capsys.readouterr().err


def test_a_patch_that_the_toolkit_has_takes_its_shapes_out(model_file, capsys):
    lint(model_file, "--format", "json")
    assert "A203" in codes(capsys.readouterr().out)
    lint(model_file, "--format", "json", "--patch", "cann-5.0.2")
    assert "A203" not in codes(capsys.readouterr().out)


def test_explain_prints_the_manual_of_a_rule(capsys):
    assert run(["lint", "--explain", "A101"]) == 0
    assert "TransposeD" in capsys.readouterr().out


def test_explain_finds_a_rule_of_any_target(capsys):
    assert run(["lint", "--explain", "c111"]) == 0
    assert "`fast-argmax`" in capsys.readouterr().out


def test_a_hint_is_counted_apart_and_does_not_fail(model_file, capsys):
    assert run(["lint", str(model_file), "--target", "onnxruntime", "--format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["errors"], result["warnings"], result["hints"]) == (0, 1, 2)
    assert result["pipeline"] == "drop-outputs"
    assert codes(json.dumps(result)) == ["C201", "C202", "C202"]


def test_rules_are_listed_with_their_severity(capsys):
    assert run(["lint", "--rules", "--format", "json"]) == 0
    rules = {rule["code"]: rule["severity"] for rule in json.loads(capsys.readouterr().out)}
    assert (rules["A101"], rules["A202"]) == ("error", "warning")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--explain", "A120"], "did you mean 'A115'?"),
        (["m.onnx", "--target", "tensorrt"], "no lint rules for the target 'tensorrt'; known: ascend310, onnxruntime"),
        (["m.onnx", "--target", "ascend910"], "did you mean 'ascend310'?"),
        (["m.onnx", "--target", "onnxruntime", "--patch", "cann-5.0.2"], "unknown option 'patches'"),
        (["missing.onnx"], "does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, said, capsys):
    assert run(["lint", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_something_to_look_at_is_needed():
    assert run(["lint"]) == 2


def test_several_models_are_ordered_and_the_known_difference_is_given(model_file, tmp_path, capsys):
    half = tmp_path / "half.onnx"
    assert run(["apply", str(model_file), "--passes", "fp16-output", "-o", str(half), "--no-verify"]) == 0
    (tmp_path / "run.log").write_text("ave_throughputRate: 0.5samples/s, ave_latency: 2000ms")
    capsys.readouterr()
    assert lint(model_file, str(half), "--measured", str(tmp_path / "run.log"), "--format", "json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["order"][0]["faster"] == str(half)
    assert result["differences"][0]["saved_ms"] == pytest.approx(2 * (558.2315 - 5.4832))
    assert lint(model_file, str(half), "--measured", str(tmp_path / "run.log"), "--cann", "6.0") == 0
    assert "is not known: the published times are of CANN 5.0.2" in capsys.readouterr().out


def test_models_are_ordered_for_the_310_only(model_file, capsys):
    assert run(["lint", str(model_file), "other.onnx", "--target", "onnxruntime"]) == 2
    assert lint(model_file, "--measured", "run.log") == 2
    assert "goes with several models" in capsys.readouterr().err
