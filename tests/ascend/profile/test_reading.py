"""Adding up the tables of the profiler."""

import pytest

from fastscnn_opt.ascend.profile.reading import find_tables, read_profile
from fastscnn_opt.errors import DataError

CONV = ("conv", "Conv2D", "AI Core", 30.0, "float16 1x1x8x8x16 NC1HWC0", "float16 1x1x8x8x16 NC1HWC0")
TRANS = ("trans", "TransData", "AI Core", 60.0, "float 1x1x8x8x16 NC1HWC0", "float 1x3x8x8 NCHW")
CAST = ("cast", "Cast", "AI_CPU", 10.0, "int64 2x5 ND", "int32 2x5 ND")


def with_time(operator, us):
    return (*operator[:3], us, *operator[4:])


@pytest.mark.parametrize("later", [False, True], ids=["2021", "later"])
def test_operators_come_by_time_with_their_share(summary, later):
    profile = read_profile([summary(CONV, TRANS, CAST, later=later)])
    assert [(item.name, item.time_us) for item in profile.operators] == [("trans", 60), ("conv", 30), ("cast", 10)]
    assert profile.total_us == 100
    assert profile.share(60) == pytest.approx(0.6)


@pytest.mark.parametrize("later", [False, True], ids=["2021", "later"])
def test_what_leaves_the_ai_core_is_told_by_the_core(summary, later):
    core = ("vector", "Add", "AI_VECTOR_CORE", 1.0, *CONV[4:])
    mixed = ("mixed", "MatMul", "MIX_AIC", 1.0, *CONV[4:])
    unknown = ("unknown", "Add", "N/A", 1.0, *CONV[4:])
    profile = read_profile([summary(CONV, CAST, core, mixed, unknown, later=later)])
    assert [item.name for item in profile.operators if item.leaves_ai_core] == ["cast"]


def test_types_sum_up_their_operators_on_each_kind_of_core(summary):
    other = ("cast_2", "Cast", "AI Core", 5.0, *CAST[4:])
    third = ("cast_3", "Cast", "AI Core", 7.0, *CAST[4:])
    types = read_profile([summary(CONV, CAST, other, third)]).types
    assert [(item.op_type, item.core, item.executions, item.time_us) for item in types] == [
        ("Conv2D", "AI_CORE", 1, 30),
        ("Cast", "AI_CORE", 2, 12),
        ("Cast", "AI_CPU", 1, 10),
    ]
    assert (types[1].shortest_us, types[1].longest_us) == (5, 7)


def test_iterations_in_files_of_their_own_make_a_mean(summary):
    first = summary(CONV, TRANS)
    second = summary(with_time(CONV, 50.0), TRANS, file="op_summary_0_2.csv")
    profile = read_profile([first, second])
    assert profile.runs == 2
    assert {item.name: item.time_us for item in profile.operators} == {"conv": 40, "trans": 60}
    assert not profile.notes


def test_iterations_in_one_file_make_the_same_mean(summary):
    profile = read_profile([summary(CONV, TRANS, with_time(CONV, 50.0), TRANS)])
    assert profile.runs == 2
    assert {item.name: item.time_us for item in profile.operators} == {"conv": 40, "trans": 60}


def test_a_table_that_is_exported_twice_changes_no_time(summary):
    once = summary(CONV, TRANS)
    again = summary(CONV, TRANS, file="op_summary_20230101.csv")
    assert read_profile([once, again]).total_us == read_profile([once]).total_us


def test_operators_that_did_not_run_as_often_as_most_are_noted(summary):
    profile = read_profile([summary(CONV, TRANS, CONV, TRANS, CAST)])
    assert profile.total_us == 95
    assert "1 of 3 do not, such as cast (1 times)" in profile.notes[0]


def test_one_name_with_several_shapes_is_noted(summary):
    wider = (*CONV[:4], "float16 4x1x8x8x16 NC1HWC0", "float16 4x1x8x8x16 NC1HWC0")
    profile = read_profile([summary(CONV), summary(wider, file="op_summary_0_2.csv")])
    assert len(profile.operators) == 2
    assert "several shapes or cores, such as conv" in profile.notes[0]


def test_lines_without_a_duration_are_left_out_and_noted(summary):
    profile = read_profile([summary(CONV, with_time(TRANS, "N/A"))])
    assert [item.name for item in profile.operators] == ["conv"]
    assert profile.notes == ("1 lines without a duration are left out",)


def test_a_statistic_knows_types_only(statistic):
    profile = read_profile(
        [
            statistic(
                "rdn,TransData,AI Core,4,935253.6,63.80209,233813.4,934225.7,44.2515",
                "rdn,Conv2D,AI Core,150,126733.2,78.2812,844.8882,1563.906,5.996379",
            )
        ]
    )
    assert profile.operators == ()
    assert [(item.op_type, item.executions, item.time_us, item.longest_us) for item in profile.types] == [
        ("TransData", 4, 935253.6, 934225.7),
        ("Conv2D", 150, 126733.2, 1563.906),
    ]
    assert "neither names nor shapes" in profile.notes[0]


def test_each_device_of_a_statistic_is_one_run(statistic):
    rows = ("0,Conv2D,AI_CORE,2,30,10,15,20,100", "1,Conv2D,AI_CORE,2,50,20,25,30,100")
    profile = read_profile([statistic(*rows, later=True)])
    assert (profile.runs, profile.total_us) == (2, 40)


def test_several_models_in_a_statistic_are_noted(statistic):
    profile = read_profile([statistic("a,Conv2D,AI Core,1,1,1,1,1,50", "b,Conv2D,AI Core,1,1,1,1,1,50")])
    assert "2 models together: a, b" in profile.notes[-1]


def test_beside_a_summary_a_statistic_adds_nothing(summary, statistic):
    tables = [summary(CONV, TRANS), statistic("n,Conv2D,AI Core,1,30,1,1,1,1", "n,TransData,AI Core,1,60,1,1,1,1")]
    profile = read_profile(tables)
    assert (profile.tables, profile.total_us, profile.notes) == ((tables[0],), 90, ())


def test_a_statistic_of_another_run_is_noted(summary, statistic):
    profile = read_profile([summary(CONV, TRANS), statistic("n,Conv2D,AI Core,3,90,1,1,1,1")])
    assert "the op_statistic has 3 Conv2D and the op_summary 1" in profile.notes[0]


def test_tables_are_told_apart_by_their_first_line(summary, statistic):
    swapped = [summary(CONV, file="statistic.csv"), statistic("n,Conv2D,AI Core,1,30,1,1,1,1", file="op_summary.csv")]
    assert read_profile(swapped).tables == (swapped[0],)


def test_a_folder_stands_for_the_tables_below_it(tmp_path, summary):
    summary(CONV, file="device_0/summary/op_summary_0_1.csv")
    summary(CONV, file="device_1/summary/op_summary_1_1.csv")
    summary(CONV, file="device_0/summary/task_time_0_1.csv")
    names = [path.name for path in find_tables([tmp_path, tmp_path / "device_0"])]
    assert names == ["op_summary_0_1.csv", "op_summary_1_1.csv"]


def test_a_folder_without_tables_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="msprof --export=on"):
        find_tables([tmp_path])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("Device_id,Node,Compute_time(us)\n", "is no op_summary or op_statistic"),
        ("PK\x03\x04", "is no op_summary or op_statistic"),
    ],
)
def test_another_file_is_one_sentence(tmp_path, text, says):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        read_profile([tmp_path / "x.csv"])


def test_tables_without_lines_are_one_sentence(summary, statistic):
    with pytest.raises(DataError, match="no line has a duration"):
        read_profile([summary()])
    with pytest.raises(DataError, match="nothing follows the first line"):
        read_profile([statistic()])


def test_a_profile_without_operator_types_says_how_to_get_them(summary):
    with pytest.raises(DataError, match="--task-time=l1"):
        read_profile([summary(("conv", "N/A", "N/A", 1.0, *CONV[4:]))])
