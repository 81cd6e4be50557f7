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
    ).lines[0]
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
    ).lines[0]
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
    ).lines[0]
    assert [tensor.shape for tensor in row.inputs] == [(1, 1, 8, 8, 16), (4, 1, 16, 16), ()]
    assert [tensor.format for tensor in row.inputs] == ["NC1HWC0", "FRACTAL_Z", "ND"]


def test_each_tensor_may_carry_quotes_of_its_own(table) -> None:
    row = read_op_summary(
        table(SUMMARY_2021, '1,2,2,add,Add,AI_CORE,0,1,0,2,"""1,2"";""3,4""",FLOAT;FLOAT,ND;ND,"""1,2""",FLOAT,ND')
    ).lines[0]
    assert [tensor.shape for tensor in row.inputs] == [(1, 2), (3, 4)]


def test_what_is_not_available_is_none(table) -> None:
    row = read_op_summary(table(SUMMARY_2021, "1,2,2,event,Event,N/A,0,N/A,0,0,N/A,N/A,N/A,N/A,N/A,N/A")).lines[0]
    assert (row.duration_us, row.inputs[0].shape) == (None, None)


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "op_summary_20230101.csv"
    row = '1,2,2,Cast,Cast,AI_CPU,0,1,0,1,"""2,5""",DT_INT16,ND,"""2,5""",DT_INT32,ND'
    path.write_bytes(b"\xef\xbb\xbf" + f"{SUMMARY_2021}\r\n{row}\r\n".encode())
    assert read_op_summary(path).lines[0].op_type == "Cast"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
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
    ).lines[0]
    assert (row.model, row.device, row.op_type, row.core, row.count) == ("rdn_x2_bs1", None, "TransData", "AI_CORE", 4)
    assert (row.total_us, row.min_us, row.max_us) == (935253.6, 63.80209, 934225.7)


def test_a_statistic_of_a_later_release(table) -> None:
    row = read_op_statistic(
        table(
            "Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)",
            "0,Conv2D,AI_VECTOR_CORE,150,126733.2,78.2812,844.8882,1563.906,5.996379",
        )
    ).lines[0]
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
        assert len(read_op_summary(path).lines) == sum(any(map(str.strip, row)) for row in rows)
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


OTHER = '1,2,2,c,Cast,AI_CPU,0,338.93,0,1,{},F16,ND,"2,5",FP32,ND'


@pytest.mark.parametrize(
    ("cell", "shapes"),
    [
        ('"[2,5]"', [(2, 5)]),
        ("[2,5]", [(2, 5)]),
        ("[2,5];[3]", [(2, 5), (3,)]),
        ('"[[2,5],[3,4]]"', [(2, 5), (3, 4)]),
        ("2x5", [(2, 5)]),
        ("2*5;3*4", [(2, 5), (3, 4)]),
        ("[]", [()]),
    ],
)
def test_shapes_are_read_in_every_spelling(table, cell, shapes) -> None:
    row = read_op_summary(table(SUMMARY_2021, OTHER.format(cell))).lines[0]
    assert [tensor.shape for tensor in row.inputs] == shapes
    assert (row.inputs[0].dtype, row.outputs) == ("float16", (ProfiledTensor((2, 5), "float32", "ND"),))


@pytest.mark.parametrize(
    ("written", "dtype"),
    [
        ("BF16", "bfloat16"),
        ("DT_BF16", "bfloat16"),
        ("FLOAT", "float32"),
        ("I32", "int32"),
        ("U8", "uint8"),
        ("half", "float16"),
        ("BOOL", "bool"),
    ],
)
def test_short_types_are_known(table, written, dtype) -> None:
    row = read_op_summary(table(SUMMARY_2021, OTHER.format('"2,5"').replace("F16", written))).lines[0]
    assert row.inputs[0].dtype == dtype


def test_formats_are_read_with_and_without_their_prefix(table) -> None:
    row = read_op_summary(table(SUMMARY_2021, OTHER.format("2x5").replace("F16,ND", "F16,FORMAT_NCHW"))).lines[0]
    assert row.inputs[0].format == "NCHW"


def piped(*lines: str) -> list[str]:
    return [f"| {line.replace(',', ' | ')} |" for line in lines]


STATISTIC = "OP Type,Core Type,Count,Total Time(us),Min Time(us),Max Time(us),Ratio(%)"
ADD = "Add,AI Core,2,10.5,4.0,6.5,**99.1 %**"


@pytest.mark.parametrize(
    "lines",
    [
        [">> op_statistic.csv", "", STATISTIC, ADD, "", "Block size: 128, warps: 4, stages: 2, time: 10 us"],
        ["The slowest operators:", *piped(STATISTIC, "---,:--,:-:,--:,---,---,---", ADD), "", "Add | is slow"],
        [STATISTIC.replace(",", " | "), "--|--|--|--|--|--|--", ADD.replace(",", " | ")],
        [f"> {line}" for line in piped(STATISTIC, "---,---,---,---,---,---,---", ADD)],
        ["+----+", *(line.replace("|", "\N{BOX DRAWINGS LIGHT VERTICAL}") for line in piped(STATISTIC, ADD)), "+----+"],
        [STATISTIC.replace(",", "\t"), ADD.replace(",", "\t")],
        ["sep=;", STATISTIC.replace(",", ";"), ADD.replace(",", ";")],
    ],
    ids=["heading", "bars", "no outer bars", "quoted", "box", "tabs", "semicolons"],
)
def test_a_table_is_found_in_a_document(table, lines) -> None:
    path = table(*lines)
    read = read_op_statistic(path)
    assert table_kind(path) is TableKind.OP_STATISTIC
    assert [(line.op_type, line.core, line.count, line.total_us) for line in read.lines] == [
        ("Add", "AI_CORE", 2, 10.5)
    ]
    assert read.notes == ()


def test_what_stands_between_rows_is_told(table) -> None:
    read = read_op_statistic(table(STATISTIC, ADD, "hello", "", "more, of it", ADD, "---", "the end"))
    assert len(read.lines) == 2
    assert [note.partition(" is")[0] for note in read.notes] == ["line 3: 'hello'", "line 5: 'more,of it'"]


def test_rows_that_were_left_out_are_told(table) -> None:
    assert "line 3 stands for rows" in read_op_statistic(table(STATISTIC, ADD, "...,...,...,...,...,...,...")).notes[0]


def test_a_second_header_of_the_same_columns_is_told(table) -> None:
    read = read_op_statistic(table(STATISTIC, ADD, STATISTIC, ADD))
    assert (len(read.lines), read.notes[0].partition(";")[0]) == (2, "line 3 names the columns again")


def test_times_follow_from_the_mean_where_a_column_is_missing(table) -> None:
    row = read_op_statistic(table("OP Type,Avg Time(ms),Count", "Add,0.25,4")).lines[0]
    assert (row.total_us, row.min_us, row.max_us, row.core) == (1000, 250, 250, "")


def test_the_columns_of_kernel_details_are_known(table) -> None:
    row = read_op_summary(
        table(
            "Name,Type,Accelerator Core,Start Time(us),Duration(us),Input Shapes,Input Data Types,Input Formats",
            'aclnnAdd,Add,AI_VECTOR_CORE,"1629.5\t",12.5,"""1,2;3,4""",FLOAT16;FLOAT16,ND;ND',
        )
    ).lines[0]
    assert (row.name, row.op_type, row.core, row.duration_us) == ("aclnnAdd", "Add", "AI_VECTOR_CORE", 12.5)


def test_missing_columns_of_tensors_are_told(table) -> None:
    read = read_op_summary(table("Op Name,OP Type,Task Type,Task Duration(us)", "k,MatMul,AI_CORE,42.0"))
    assert (read.lines[0].inputs, read.lines[0].duration_us) == ((), 42)
    assert read.notes[0].startswith("without 'Input Shapes', ")


@pytest.mark.parametrize("encoding", ["utf-16", "gbk"])
def test_other_encodings_are_read(tmp_path: Path, encoding) -> None:
    (tmp_path / "t").write_bytes(f"\u7b97\u5b50\n{STATISTIC}\n{ADD}\n".encode(encoding))
    assert len(read_op_statistic(tmp_path / "t").lines) == 1
