"""The verb `profile`, from the outside."""

import csv
import io
import json
import tempfile
from pathlib import Path

import onnx
import pytest

from fastscnn_opt.cli.main import run

HEADER = (
    "Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),"
    "Block Dim,Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats"
)
CONV = '1,1,2,conv,Conv2D,AI Core,0,500,0,2,"""1,1,8,8,16""",DT_FLOAT16,NC1HWC0,"""1,2,8,8,16""",DT_FLOAT16,NC1HWC0'
OUTPUT = (
    '1,2,2,out,TransData,AI Core,0,3000.5,0,2,"""1,2,1024,2048,16""",DT_FLOAT,NC1HWC0,'
    '"""1,19,1024,2048""",DT_FLOAT,NCHW'
)
CAST = '4.29E+09,2,2,Cast,Cast,AI_CPU,5.42118E+14,338.93,0,1,"""2,5""",DT_INT16,ND,"""2,5""",DT_INT32,ND'
LINES = (CONV, OUTPUT, CAST)


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "op_summary_0_1.csv"
    path.write_text("\n".join((HEADER, *LINES)) + "\n")
    return path


@pytest.fixture
def model(tmp_path, tiny_model) -> Path:
    onnx.save(tiny_model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def printed(capsys, *arguments) -> str:
    code = run(["profile", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def refused(capsys, *arguments, code=1) -> str:
    assert run(["profile", *map(str, arguments)]) == code
    return capsys.readouterr().err


def test_json_has_every_part_of_a_profile(table, capsys):
    result = json.loads(printed(capsys, table, "--format", "json"))
    assert (result["kind"], result["runs"], result["total_us"]) == ("op_summary", 1, pytest.approx(3839.43))
    assert [row["type"] for row in result["types"]] == ["TransData", "Conv2D", "Cast"]
    assert [row["name"] for row in result["operators"]] == ["out", "conv", "Cast"]
    assert [row["name"] for row in result["off_core"]] == ["Cast"]
    assert result["conversions"][0]["outputs"] == [{"shape": [1, 19, 1024, 2048], "dtype": "float32", "format": "NCHW"}]


def test_a_finding_names_the_shipped_patch_of_its_shape(table, capsys):
    finding = json.loads(printed(capsys, table, "--format", "json"))["findings"][0]
    assert finding["time_us"] == 3000.5
    assert finding["share"] == pytest.approx(3000.5 / 3839.43)
    assert (finding["passes"], finding["patch"]) == ("fp16-output", "cann-5.0.2")


def test_the_table_shows_times_shapes_and_cures(table, capsys):
    text = printed(capsys, table)
    assert "float32 1x2x1024x2048x16 NC1HWC0" in text
    assert "operators that leave the AI Core" in text
    assert "3000.5 us, 78.1 %: 1 TransData to NCHW, float32 1x19x1024x2048" in text
    assert "patch apply cann-5.0.2" in text


def test_a_statistic_has_no_empty_tables(tmp_path, capsys):
    path = tmp_path / "s.csv"
    path.write_text(
        "Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)\n"
        "0,Conv2D,AI_CORE,150,126733.2,78.2812,844.8882,1563.906,5.996379\n"
    )
    text = printed(capsys, path)
    assert "126733.2" in text
    assert "TransData" not in text


def test_a_folder_is_searched_for_tables(tmp_path, table, capsys):
    assert json.loads(printed(capsys, tmp_path, "--format", "json"))["tables"] == [str(table)]


def test_csv_holds_one_table_that_can_be_chosen(table, capsys):
    types = list(csv.reader(io.StringIO(printed(capsys, table, "--format", "csv"))))
    assert types[1][:4] == ["TransData", "AI_CORE", "1", "3000.5"]
    findings = list(csv.reader(io.StringIO(printed(capsys, table, "--format", "csv", "--show", "findings"))))
    assert findings[0] == ["finding", "us per run", "share %", "cure"]


@pytest.mark.parametrize(("form", "start"), [("md", "### operator types\n"), ("html", "<table>\n<caption>operator")])
def test_documents_hold_every_table_under_its_title(table, capsys, form, start):
    text = printed(capsys, table, "--format", form)
    assert text.startswith(start)
    assert "findings" in text


def test_only_the_costliest_operators_are_printed(table, capsys):
    text = printed(capsys, table, "--show", "operators", "--top", "1")
    assert "operators, 1 of 3" in text
    assert "conv" not in text


def test_small_findings_can_be_left_out(table, capsys):
    assert "shape arithmetic" in printed(capsys, table, "--show", "findings")
    assert "shape arithmetic" not in printed(capsys, table, "--show", "findings", "--min-percent", "10")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "and no table of the profiler"),
        (HEADER.replace(",Task Duration(us)", ",Took") + "\n" + CONV, "the column 'Task Duration' is missing"),
        (HEADER + "\n" + CONV[:60], "is it cut off?"),
        (HEADER + "\n" + CONV.replace(",500,", ",long,"), "Task Duration is 'long', not a number"),
        (HEADER + "\n", "no line has a duration"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, capsys, content, says):
    path = tmp_path / "x.csv"
    path.write_text(content)
    error = refused(capsys, path)
    assert error.startswith(f"error: {path}")
    assert says in error
    assert error.count("\n") == 1


def test_a_byte_order_mark_and_carriage_returns_do_not_matter(tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join((HEADER, *LINES)).encode())
    assert json.loads(printed(capsys, path, "--format", "json"))["operators"][0]["name"] == "out"


def test_a_missing_file_is_one_sentence(tmp_path, capsys):
    assert "cannot be read: No such file" in refused(capsys, tmp_path / "x.csv")


def test_a_model_is_profiled_in_onnxruntime(model, capsys):
    result = json.loads(printed(capsys, model, "--runs", 2, "--threads", 1, "--format", "json"))
    assert (result["model"], result["runs"]) == (str(model), 2)
    assert {"Conv", "Resize"} <= {row["type"] for row in result["types"]}
    assert sum(row["time_us"] for row in result["nodes"]) + result["between_us"] == pytest.approx(result["total_us"])


def test_the_trace_of_a_model_is_removed(model, capsys):
    printed(capsys, model, "--runs", 1, "--threads", 1)
    assert list(Path(tempfile.gettempdir()).iterdir()) == [model]


def test_the_nodes_of_a_model_are_printed_with_their_outputs(model, capsys):
    text = printed(capsys, model, "--runs", 1, "--threads", 1, "--show", "operators")
    assert "float32 1x3x16x32" in text


def test_an_open_batch_can_be_given(tmp_path, capsys):
    text = '<ir_version: 8, opset_import: ["" : 13]> g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "open.onnx")
    result = json.loads(
        printed(capsys, tmp_path / "open.onnx", "--batch", 5, "--runs", 1, "--threads", 1, "--format", "json")
    )
    assert result["nodes"][0]["outputs"] == ["float32 5x3"]


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_bad_model_is_one_sentence(tmp_path, capsys, content):
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    error = refused(capsys, path)
    assert error.startswith(f"error: {path}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("a.onnx", "b.csv"),
        ("a.onnx", "b.onnx"),
        ("a.csv", "--runs", "3"),
        ("a.onnx", "--show", "findings"),
        (),
    ],
)
def test_wrong_usage_is_told(capsys, arguments):
    assert "Usage" in refused(capsys, *arguments, code=2)
