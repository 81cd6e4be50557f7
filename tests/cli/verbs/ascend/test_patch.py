"""The verb `patch` as a user meets it: arguments in; JSON, tables, notes and exit codes out."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from fastscnn_opt.cli import main as cli

IMPL = "opp/op_impl/built-in/ai_core/tbe/impl"
FIVE = """\
def five_2_four(src, dst, src_format, dst_format, kernel_name='five_2_four'):
    if dst_format.lower() == "nhwc" and dst_shape in [[8, 5, 5, 486]]:
        pass
    elif dst_format.lower() == "nchw" and dst_shape in [[16, 240, 7, 7], [16, 120, 14, 14]]:
        pass
"""
FOUR = """\
def four_2_five(src, dst, src_format, dst_format, kernel_name="four_2_five"):
    if src_format.upper() == "NCHW" and shape_input in [[16, 240, 7, 7]] and dtype_input == "float16":
        pass
"""
CALLER = "five_2_four.five_2_four(src)\nfour_2_five.four_2_five(src)\n"
COLUMNS = "Model ID,Op Name,OP Type,Task Type,Task Duration(us),Input Shapes,Input Data Types,Input Formats"
PROFILE = f"""\
{COLUMNS},Output Shapes,Output Data Types,Output Formats
1,trans_1,TransData,AI_CORE,272430.4,"1,2,64,128,16",DT_FLOAT16,NC1HWC0,"1,19,64,128",DT_FLOAT16,NCHW
1,trans_2,TransData,AI_CORE,10.5,"1,3,64,128",DT_FLOAT,NCHW,"1,1,64,128,16",DT_FLOAT,NC1HWC0
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    root = tmp_path / "toolkit"
    (root / IMPL).mkdir(parents=True)
    for name, text in {"five_2_four.py": FIVE, "four_2_five.py": FOUR, "trans_data.py": CALLER}.items():
        (root / IMPL / name).write_text(text)
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], toolkit: Path) -> Run:
    """Return a function that runs `patch` on the toolkit and returns exit code, stdout and stderr."""

    def call(*arguments: str, root: Path | None = toolkit) -> tuple[int, str, str]:
        code = cli.run(["patch", *arguments, *(["--root", str(root)] if root else [])])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def states(run: Run) -> dict[str, str]:
    return {row["file"]: row["state"] for row in json.loads(run("status", "--format", "json")[1])}


def test_apply_and_status_and_revert(run: Run, toolkit: Path) -> None:
    assert run("apply", "cann-5.0.2")[0] == 0
    assert states(run) == {"five_2_four.py": "patched", "four_2_five.py": "patched"}
    assert run("revert", "cann-5.0.2")[0] == 0
    assert (toolkit / IMPL / "five_2_four.py").read_text() == FIVE


def test_status_has_the_keys_that_others_read(run: Run) -> None:
    row = json.loads(run("status", "--format", "json")[1])[0]
    assert {"file", "state", "reason", "entries"} <= set(row)
    assert row["entries"][0] == {"shape": [1, 128, 32, 64], "present": False}


def test_json_is_alone_on_stdout(run: Run, toolkit: Path) -> None:
    (toolkit / IMPL / "trans_data.py").unlink()
    code, out, err = run("apply", "cann-5.0.2", "--format", "json")
    assert (code, [len(file["added"]) for file in json.loads(out)["files"]]) == (0, [4, 4])
    assert "trans_data.py is missing" in err


def test_a_dry_run_shows_the_change_and_makes_none(run: Run, toolkit: Path) -> None:
    code, out, _ = run("apply", "cann-5.0.2", "--dry-run")
    assert (code, "[2, 19, 1024, 2048]]:" in out) == (0, True)
    assert (toolkit / IMPL / "five_2_four.py").read_text() == FIVE


def test_diff_is_a_unified_diff(run: Run) -> None:
    assert run("diff", "cann-5.0.2")[1].startswith("--- a/five_2_four.py\n+++ b/five_2_four.py\n")


def test_diff_as_json_names_each_file(run: Run) -> None:
    assert [row["file"] for row in json.loads(run("diff", "cann-5.0.2", "--format", "json")[1])] == [
        "five_2_four.py",
        "four_2_five.py",
    ]


def test_list_works_without_a_toolkit(run: Run) -> None:
    rows = json.loads(run("list", "--format", "json", root=None)[1])
    assert [(row["name"], row["entries"], row["states"]) for row in rows] == [("cann-5.0.2", 8, None)]


def test_list_with_a_toolkit_tells_the_states(run: Run) -> None:
    rows = json.loads(run("list", "--format", "json")[1])
    assert rows[0]["states"] == {"five_2_four.py": "untouched", "four_2_five.py": "untouched"}


def test_show_gives_every_entry_with_its_reason(run: Run) -> None:
    shown = json.loads(run("show", "cann-5.0.2", "--format", "json")[1])
    assert all(entry["why"] for edit in shown["edits"] for entry in edit["entries"])
    assert shown["statements"] == [{"file": "five_2_four.py", "line": 4}, {"file": "four_2_five.py", "line": 2}]


@pytest.mark.parametrize("form", ["table", "md", "csv", "html"])
def test_status_is_a_table_in_every_form(run: Run, form: str) -> None:
    code, out, _ = run("status", "--format", form)
    assert (code, "five_2_four.py" in out, "untouched" in out) == (0, True, True)


def test_an_edited_file_ends_with_one_and_shows_the_edit(run: Run, toolkit: Path) -> None:
    run("apply", "cann-5.0.2")
    with (toolkit / IMPL / "five_2_four.py").open("a") as file:
        file.write("# mine\n")
    code, out, err = run("revert", "cann-5.0.2")
    assert (code, out) == (1, "")
    assert "+# mine" in err
    assert "--own-entries" in err
    assert run("revert", "cann-5.0.2", "--own-entries")[0] == 0
    assert (toolkit / IMPL / "five_2_four.py").read_text() == f"{FIVE}# mine\n"


def test_revert_of_nothing_says_so_and_is_no_error(run: Run) -> None:
    code, out, _ = run("revert", "cann-5.0.2")
    assert (code, "is not applied" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["apply", "cann-5.0.3"], 1),
        (["apply", "none.toml"], 1),
        (["apply"], 2),
        (["apply", "cann-5.0.2", "--format", "xml"], 2),
        (["derive"], 2),
        (["derive", "--model", "m.onnx"], 2),
        (["derive", "--profile", "p.csv", "--batch", "1"], 2),
        (["derive", "--profile", "p.csv", "--model", "m.onnx", "--batch", "1"], 2),
        (["derive", "--profile", "none.csv"], 1),
        (["derive", "--model", "none.onnx", "--batch", "1"], 1),
    ],
)
def test_mistakes_end_with_their_code_and_a_sentence(run: Run, arguments: list[str], code: int) -> None:
    found, out, err = run(*arguments)
    assert (found, out, "Traceback" in err) == (code, "", False)
    assert err


def test_a_missing_root_ends_with_one(run: Run, tmp_path: Path) -> None:
    code, _, err = run("status", root=tmp_path / "nowhere")
    assert (code, err.startswith("error: --root")) == (1, True)


def test_derive_from_a_profile_writes_a_patch_that_applies(run: Run, tmp_path: Path) -> None:
    (tmp_path / "op_summary_0_1.csv").write_text(PROFILE)
    output = tmp_path / "mine.toml"
    code, _, err = run("derive", "--profile", str(tmp_path / "op_summary_0_1.csv"), "-o", str(output))
    assert (code, "left out trans_2" in err) == (0, True)
    assert run("apply", str(output))[0] == 0
    assert states(run) == {"five_2_four.py": "patched"}
    assert run("revert", "mine")[0] == 0
    assert states(run) == {"five_2_four.py": "untouched", "four_2_five.py": "untouched"}


def test_a_patch_that_cannot_be_written_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PROFILE)
    output = tmp_path / "no" / "folder" / "mine.toml"
    code, out, err = run("derive", "--profile", str(tmp_path / "p.csv"), "-o", str(output))
    assert (code, out, err.startswith(f"error: {output}: No such file")) == (1, "", True)


def test_a_name_that_is_no_name_is_a_mistake(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PROFILE)
    code, _, err = run("derive", "--profile", str(tmp_path / "p.csv"), "--name", "my patch")
    assert (code, err.startswith("error: 'my patch' cannot name a patch")) == (1, True)


def test_derive_from_a_model_prints_a_patch(run: Run, tmp_path: Path, tiny_model: onnx.ModelProto) -> None:
    onnx.save(tiny_model, tmp_path / "tiny.onnx")
    code, out, _ = run("derive", "--model", str(tmp_path / "tiny.onnx"), "--batch", "2", root=None)
    assert (code, 'name = "tiny"' in out, "shape = [2, 3, 16, 32]" in out) == (0, True, True)


def test_derive_as_a_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "op_summary_0_1.csv").write_text(PROFILE)
    output = tmp_path / "mine.toml"
    code, out, _ = run(
        "derive", "--profile", str(tmp_path / "op_summary_0_1.csv"), "-o", str(output), "--dry-run", "--format", "json"
    )
    assert (code, output.exists()) == (0, False)
    assert json.loads(out)["edits"][0]["entries"][0]["shape"] == [1, 19, 64, 128]
