"""What a profile says about passes and patches."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastscnn_opt.ascend.profile.find import find_hotspots
from fastscnn_opt.ascend.profile.profile import Operator, Profile, TypeTime
from fastscnn_opt.ascend.profile.reading import read_profile
from fastscnn_opt.ascend.profile.tables import ProfiledTensor, TableKind

DEVICE = "float 1x2x1024x2048x16 NC1HWC0"
LOGITS = "float 1x19x1024x2048 NCHW"
PATCHES = {("five_2_four", (1, 19, 1024, 2048)): "some-patch", ("four_2_five", (1, 3, 1024, 2048)): "some-patch"}


def trans(name, us, source, result):
    return (name, "TransData", "AI Core", us, source, result)


CONV = ("conv", "Conv2D", "AI Core", 50.0, "float16 1x4x64x64x16 NC1HWC0", "float16 1x4x64x64x16 NC1HWC0")
OUTPUT = trans("out", 100.0, DEVICE, LOGITS)
CONVERTED = ProfiledTensor((1, 3, 64, 64), "float", "NCHW")


@pytest.fixture
def found(summary):
    """Return the findings for operators, without patches unless some are given."""

    def look(*operators, patches=None, later=False):
        return find_hotspots(read_profile([summary(*operators, later=later)]), patches or {})

    return look


@pytest.fixture
def only(found):
    """Return the only finding, which there must be."""

    def look(*operators, **options):
        [finding] = found(*operators, **options)
        return finding

    return look


def names(finding):
    return {operator.name for operator in finding.operators}


@pytest.mark.parametrize("later", [False, True], ids=["2021", "later"])
def test_a_float32_output_wants_float16(only, later):
    finding = only(CONV, OUTPUT, later=later)
    assert "to NCHW, float32 1x19x1024x2048" in finding.what
    assert (finding.passes, finding.time_us) == ("fp16-output", 100)
    assert "`fp16-output`" in finding.cure


def test_a_finding_states_its_time_and_share(summary):
    profile = read_profile([summary(CONV, OUTPUT)])
    [finding] = find_hotspots(profile, {})
    row = finding.to_json(profile)
    assert (row["time_us"], row["share"]) == (100, pytest.approx(100 / 150))


def test_several_outputs_may_be_dropped(only):
    finding = only(OUTPUT, trans("aux", 90.0, DEVICE, LOGITS))
    assert finding.passes == "drop-outputs,fp16-output"
    assert finding.time_us == 190


def test_a_shape_that_a_shipped_patch_lists_names_the_patch(only):
    finding = only(OUTPUT, patches=PATCHES)
    assert finding.patch == "some-patch"
    assert "patch apply some-patch" in finding.cure


def test_a_shape_that_no_patch_lists_is_for_a_derived_one(only, tmp_path):
    finding = only(trans("out", 100.0, DEVICE, "float 8x19x1024x2048 NCHW"), patches=PATCHES)
    assert finding.patch == ""
    assert f"patch derive --profile {tmp_path / 'op_summary_0_1.csv'}" in finding.cure


def test_a_float16_output_needs_neither_pass_nor_patch(only):
    finding = only(trans("out", 5.0, DEVICE.replace("float", "float16"), LOGITS.replace("float", "float16")))
    assert (finding.passes, finding.patch) == ("", "")
    assert "is_output_adjust_hw_layout" in finding.cure


def test_a_cast_to_float32_behind_the_conversion_belongs_to_it(only):
    half = "float16 1x19x1024x2048 NCHW"
    cast = ("cast", "Cast", "AI Core", 7.0, half, LOGITS)
    finding = only(trans("out", 5.0, "float16 1x2x1024x2048x16 NC1HWC0", half), cast)
    assert names(finding) == {"out", "cast"}
    assert finding.passes == "fp16-output"


def test_a_conversion_for_another_operator_is_no_output(only):
    reader = ("reshape", "Softmax", "AI Core", 3.0, LOGITS, LOGITS)
    finding = only(OUTPUT, reader)
    assert "for Softmax" in finding.what
    assert finding.passes == ""


def test_an_input_of_float16_is_for_the_white_list(only):
    finding = only(trans("in", 3.0, "float16 1x3x1024x2048 NCHW", "float16 1x1x1024x2048x16 NC1HWC0"), patches=PATCHES)
    assert "from NCHW, float16 1x3x1024x2048" in finding.what
    assert finding.patch == "some-patch"


def test_an_input_of_float32_has_to_be_fed_as_float16(only):
    finding = only(trans("in", 3.0, "float 1x3x1024x2048 NCHW", "float 1x1x1024x2048x16 NC1HWC0"), patches=PATCHES)
    assert finding.patch == ""
    assert "input_fp16_nodes" in finding.cure


def test_a_conversion_between_other_layouts_has_no_cure(only):
    finding = only(trans("inner", 3.0, "float16 1x8x32x64x16 NC1HWC0", "float16 1x128x128x16x16 FRACTAL_NZ"))
    assert finding.cure == "no pass or patch addresses it"


POOL = (
    trans("to", 6.0, "float16 1x8x32x64x16 NC1HWC0", "float16 1x128x32x64 NCHW"),
    ("before", "TransposeD", "AI Core", 8.0, "float16 1x128x32x64 NCHW", "float16 1x32x64x128 NHWC"),
    ("pool", "AvgPoolV2", "AI_CPU", 250.0, "float16 1x32x64x128 NHWC", "float16 1x1x1x128 NHWC"),
    ("after", "TransposeD", "AI Core", 2.0, "float16 1x1x1x128 NHWC", "float16 1x128x1x1 NCHW"),
    trans("from", 1.0, "float16 1x128x1x1 NCHW", "float16 1x8x1x1x16 NC1HWC0"),
)


@pytest.mark.parametrize("later", [False, True], ids=["2021", "later"])
def test_pooling_on_the_ai_cpu_counts_with_the_conversions_around_it(only, later):
    finding = only(CONV, *POOL, later=later)
    assert names(finding) == {"to", "before", "pool", "after", "from"}
    assert (finding.passes, finding.time_us) == ("adaptive-avgpool,large-avgpool", 267)
    assert "with 2 TransposeD and 2 TransData" in finding.what


def test_conversions_of_other_tensors_do_not_count_with_the_pooling(found):
    pooling, output = found(*POOL, OUTPUT)
    assert names(pooling) == {"to", "before", "pool", "after", "from"}
    assert names(output) == {"out"}


def test_pooling_on_the_ai_core_is_no_finding(found):
    assert found(("pool", "AvgPoolV2", "AI Core", 9.0, CONV[4], CONV[5])) == []


def test_an_argmax_on_the_ai_cpu_counts_with_its_conversion_and_cast(only):
    finding = only(
        OUTPUT,
        ("best", "ArgMaxV2", "AI_CPU", 900.0, LOGITS, "int64 1x1024x2048 ND"),
        ("cast", "Cast", "AI_CPU", 90.0, "int64 1x1024x2048 ND", "uint8 1x1024x2048 ND"),
    )
    assert names(finding) == {"out", "best", "cast"}
    assert "leave out `argmax-output`" in finding.cure


def test_shape_arithmetic_is_folded_by_simplify(only):
    finding = only(
        ("gather", "Gather", "AI_CPU", 20.0, "int64 4 ND;int64 1 ND", "int64 1 ND"),
        ("cast", "Cast", "AI_CPU", 20.0, "int64 1 ND", "int32 1 ND"),
    )
    assert names(finding) == {"gather", "cast"}
    assert finding.passes == "simplify"


def test_what_no_pass_avoids_is_said_to_have_none(only):
    finding = only(("cast", "Cast", "AI_CPU", 20.0, "int64 1x3x64x64 ND", "int32 1x3x64x64 ND"))
    assert finding.what == "Cast on AI_CPU"
    assert finding.cure.startswith("no pass or patch addresses it")
    assert finding.passes == ""


def test_a_bilinear_resize_tells_what_nearest_costs(only):
    finding = only(("up", "ResizeBilinearV2D", "AI Core", 52.0, "float 1x2x8x8x16 NC1HWC0", DEVICE))
    assert finding.passes == "resize-nearest"
    assert "mIoU" in finding.cure
    assert "fastscnn-opt score" in finding.cure


def test_a_nearest_resize_is_no_finding(found):
    assert found(("up", "ResizeNearestNeighborV2D", "AI Core", 52.0, "float 1x2x8x8x16 NC1HWC0", DEVICE)) == []


def test_a_pad_that_keeps_the_shape_is_removed_by_simplify(found):
    needless = ("pad", "PadD", "AI Core", 4.0, CONV[4], CONV[5])
    needed = ("other", "PadD", "AI Core", 4.0, CONV[4], "float16 1x4x66x66x16 NC1HWC0")
    [finding] = found(needless, needed)
    assert (names(finding), finding.passes) == ({"pad"}, "simplify")


def test_the_costliest_finding_comes_first_and_none_shares_an_operator(found):
    everything = found(CONV, *POOL, OUTPUT, ("up", "ResizeBilinearV2D", "AI Core", 52.0, CONV[4], CONV[5]))
    times = [finding.time_us for finding in everything]
    assert times == sorted(times, reverse=True)
    taken = [operator for finding in everything for operator in finding.operators]
    assert len(taken) == len(set(taken)) == 7


def test_a_statistic_gives_vague_findings(statistic):
    table = statistic(
        "n,TransData,AI Core,4,935253.6,63.8,233813.4,934225.7,44.2",
        "n,AvgPoolV2,AI_CPU,3,7000,1,1,1,1",
        "n,TransposeD,AI Core,6,700,1,1,1,1",
    )
    conversions, pooling = find_hotspots(read_profile([table]), {})
    assert conversions.passes == "drop-outputs,fp16-output"
    assert "op_summary" in conversions.cure
    assert (pooling.passes, pooling.time_us) == ("adaptive-avgpool,large-avgpool", 7700)


tensors = st.lists(
    st.builds(
        ProfiledTensor,
        st.none() | st.lists(st.integers(0, 3), max_size=5).map(tuple),
        st.sampled_from(["float", "float16", "int64", ""]),
        st.sampled_from(["NCHW", "NC1HWC0", "ND", ""]),
    ),
    max_size=2,
).map(tuple)
op_types = st.sampled_from(
    ["TransData", "TransposeD", "Cast", "AvgPoolV2", "ArgMaxV2", "ResizeBilinearV2D", "PadD", "Add"]
)


@given(st.lists(st.tuples(op_types, st.sampled_from(["AI_CORE", "AI_CPU", "N/A"]), tensors, tensors), max_size=12))
@example([("TransData", "AI_CPU", (CONVERTED,), ()), ("AvgPoolV2", "AI_CPU", (), (CONVERTED,))])
def test_no_operator_is_in_two_findings_and_none_off_the_core_is_left_out(rows):
    operators = tuple(
        Operator(f"op_{index}", op_type, core, 1, 1.0, *sides) for index, (op_type, core, *sides) in enumerate(rows)
    )
    types = tuple(TypeTime(item.op_type, item.core, 1, 1.0, 1.0, 1.0) for item in operators)
    profile = Profile((Path("p.csv"),), TableKind.OP_SUMMARY, 1, operators, types)
    taken = [operator.name for finding in find_hotspots(profile, {}) for operator in finding.operators]
    assert len(taken) == len(set(taken))
    assert {operator.name for operator in operators if operator.core == "AI_CPU"} <= set(taken)
