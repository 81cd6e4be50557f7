import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.profile.tables import ProfiledTensor, TableKind, read_op_statistic, read_op_summary, table_kind
from fastscnn_opt.errors import DataError

SUMMARY_2021 = (
    "Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),"
    "Block Dim,Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats"
)
SUMMARY_LATER = (
    "Device_id,Model ID,Task ID,Stream ID,Infer ID,OP Name,OP Type,Task Type,Task Start Time(us),Task Duration(us),"
    "Task Wait Time(us),Block Num,Mix Block Dim,Input Shapes,Input Data Types,Input Formats,Output Shapes,"
    "Output Data Types,Output Formats,Context ID,aicore_time(us),aic_total_cycles,aiv_time(us)"
)


@pytest.fixture
def table(tmp_path: Path):
    def write(*lines: str) -> Path:
        path = tmp_path / "op_summary_0_1.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_a_row_of_2021(table) -> None:
    row = read_op_summary(
        table(
            SUMMARY_2021,
            '4.29E+09,2,2,Cast,Cast,AI_CPU,5.42118E+14,338.93,0,1,"""2,5""",DT_INT16,ND,"""2,5""",DT_INT32,ND',
        )
    )[0]
    assert (row.name, row.op_type, row.core, row.duration_us) == ("Cast", "Cast", "AI_CPU", 338.93)
    assert row.inputs == (ProfiledTensor((2, 5), "int16", "ND"),)
    assert row.outputs == (ProfiledTensor((2, 5), "int32", "ND"),)
    assert row.aicore_time_us is None


def test_a_row_of_a_later_release(table) -> None:
    row = read_op_summary(
        table(
            SUMMARY_LATER,
            '0,1,7,3,1,trans_7,TransData,AI_CORE,1629.5,272500.1,1.5,2,0,"""1,2,64,128,16""",FLOAT16,NC1HWC0,"""1,19,64,128""",'
            "FLOAT16,NCHW,N/A,272430.4,12345,0",
        )
    )[0]
    assert (row.name, row.aicore_time_us, row.outputs[0]) == (
        "trans_7",
        272430.4,
        ProfiledTensor((1, 19, 64, 128), "float16", "NCHW"),
    )


def test_several_tensors_are_parted_by_semicolons(table) -> None:
    row = read_op_summary(
        table(
            SUMMARY_2021,
            '1,2,2,conv,Conv2D,AI_CORE,0,1.5,0,2,"""1,1,8,8,16;4,1,16,16;""",DT_FLOAT16;DT_FLOAT16;DT_INT32,'
            'NC1HWC0;FRACTAL_Z;ND,"""1,1,8,8,16""",DT_FLOAT16,NC1HWC0',
        )
    )[0]
    assert [tensor.shape for tensor in row.inputs] == [(1, 1, 8, 8, 16), (4, 1, 16, 16), ()]
    assert [tensor.format for tensor in row.inputs] == ["NC1HWC0", "FRACTAL_Z", "ND"]


def test_each_tensor_may_carry_quotes_of_its_own(table) -> None:
    row = read_op_summary(
        table(SUMMARY_2021, '1,2,2,add,Add,AI_CORE,0,1,0,2,"""1,2"";""3,4""",FLOAT;FLOAT,ND;ND,"""1,2""",FLOAT,ND')
    )[0]
    assert [tensor.shape for tensor in row.inputs] == [(1, 2), (3, 4)]


def test_what_is_not_available_is_none(table) -> None:
    row = read_op_summary(table(SUMMARY_2021, "1,2,2,event,Event,N/A,0,N/A,0,0,N/A,N/A,N/A,N/A,N/A,N/A"))[0]
    assert (row.duration_us, row.inputs[0].shape) == (None, None)


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "op_summary_20230101.csv"
    row = '1,2,2,Cast,Cast,AI_CPU,0,1,0,1,"""2,5""",DT_INT16,ND,"""2,5""",DT_INT32,ND'
    path.write_bytes(b"\xef\xbb\xbf" + f"{SUMMARY_2021}\r\n{row}\r\n".encode())
    assert read_op_summary(path)[0].op_type == "Cast"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",Input Formats", ",Formats In", "the column 'Input Formats' is missing"),
        (",Task Duration(us)", ",Took", "the column 'Task Duration' is missing"),
        (",OP Type", ",Kind", "the column 'Op Type' is missing"),
        (",338.93,", ",soon,", "line 2: Task Duration is 'soon', not a number"),
        (",338.93,", ",nan,", "line 2: Task Duration is 'nan', not a number"),
        (",338.93,", ",338_93,", "line 2: Task Duration is '338_93', not a number"),
        ('"""2,5""",DT_INT16', '"""2,x""",DT_INT16', "line 2: Input Shapes holds '2,x'"),
        ('"""2,5""",DT_INT16', '"""2,5_0""",DT_INT16', "line 2: Input Shapes holds '2,5_0'"),
        (",DT_INT32,ND", "", "line 2: 14 cells for 16 columns"),
    ],
)
def test_a_mistake_is_named_with_the_file_and_the_place(table, old: str, new: str, says: str) -> None:
    row = '1,2,2,Cast,Cast,AI_CPU,0,338.93,0,1,"""2,5""",DT_INT16,ND,"""2,5""",DT_INT32,ND'
    text = f"{SUMMARY_2021}\n{row}"
    assert old in text
    path = table(text.replace(old, new))
    with pytest.raises(DataError) as caught:
        read_op_summary(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"\x00\x01\x02", b"\xff\xfe", b"PK\x03\x04"])
def test_another_kind_of_file_is_one_sentence(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(raw)
    with pytest.raises(DataError, match=r"x\.csv"):
        read_op_summary(tmp_path / "x.csv")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_op_summary(tmp_path / "x.csv")


def test_a_statistic_of_2021(table) -> None:
    row = read_op_statistic(
        table(
            "Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)",
            "rdn_x2_bs1,TransData,AI Core,4,935253.6,63.80209,233813.4,934225.7,44.2515",
        )
    )[0]
    assert (row.model, row.device, row.op_type, row.core, row.count) == ("rdn_x2_bs1", None, "TransData", "AI_CORE", 4)
    assert (row.total_us, row.min_us, row.max_us) == (935253.6, 63.80209, 934225.7)


def test_a_statistic_of_a_later_release(table) -> None:
    row = read_op_statistic(
        table(
            "Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)",
            "0,Conv2D,AI_VECTOR_CORE,150,126733.2,78.2812,844.8882,1563.906,5.996379",
        )
    )[0]
    assert (row.model, row.device, row.core) == (None, "0", "AI_VECTOR_CORE")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("A,B,1,N/A,1,1,1,1", "line 2: Total Time is not available"),
        ("A,B,1.5,1,1,1,1,1", "line 2: Count is '1.5', not a whole number"),
        ("A,B,1_0,1,1,1,1,1", "line 2: Count is '1_0', not a whole number"),
    ],
)
def test_a_statistic_without_a_figure_is_named(table, row: str, says: str) -> None:
    path = table("OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)", row)
    with pytest.raises(DataError, match=says):
        read_op_statistic(path)


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.lists(cells, min_size=16, max_size=16), max_size=3))
def test_any_cells_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_text(f"{SUMMARY_2021}\n{text.getvalue()}", newline="")
    try:
        assert len(read_op_summary(path)) == len(rows)
    except DataError as error:
        assert "fuzz.csv" in str(error)  # noqa: PT017 - either outcome is right


def test_the_kind_of_a_table_is_told_by_its_first_line(table) -> None:
    assert table_kind(table(SUMMARY_2021)) is TableKind.OP_SUMMARY
    assert table_kind(table(SUMMARY_LATER)) is TableKind.OP_SUMMARY
    assert table_kind(table("OP Type,Core Type,Count,Total Time(us)")) is TableKind.OP_STATISTIC


@pytest.mark.parametrize(("line", "says"), [("", "is empty"), ("Node,Task_time(us)", "no op_summary or op_statistic")])
def test_another_table_has_no_kind(table, line: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        table_kind(table(line))
