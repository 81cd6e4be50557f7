from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from fastscnn_opt.ascend.whitelists.derive import Derived, from_model, from_profile, without_listed
from fastscnn_opt.errors import PatchError

MakeTree = Callable[..., Path]


def tensor(shape: tuple[int, ...] | None, form: str, dtype: str = "float16") -> SimpleNamespace:
    return SimpleNamespace(shape=shape, dtype=dtype, format=form)


def run(
    source: SimpleNamespace, result: SimpleNamespace, time: float = 1.0, op_type: str = "TransData"
) -> SimpleNamespace:
    return SimpleNamespace(
        name="trans", op_type=op_type, duration_us=time, aicore_time_us=None, inputs=(source,), outputs=(result,)
    )


def shapes(derived: Derived, function: str) -> list[tuple[int, ...]]:
    return [shape for edit in derived.patch.edits if edit.function == function for shape in edit.shapes]


TO_NCHW = run(tensor((1, 2, 64, 128, 16), "NC1HWC0"), tensor((1, 19, 64, 128), "NCHW"))
FROM_NCHW = run(tensor((1, 3, 64, 128), "NCHW"), tensor((1, 1, 64, 128, 16), "NC1HWC0"))


def test_a_conversion_to_nchw_lists_its_output_in_five_2_four() -> None:
    assert shapes(from_profile([TO_NCHW, FROM_NCHW], "p.csv", "x"), "five_2_four") == [(1, 19, 64, 128)]


def test_a_conversion_from_nchw_lists_its_input_in_four_2_five() -> None:
    assert shapes(from_profile([TO_NCHW, FROM_NCHW], "p.csv", "x"), "four_2_five") == [(1, 3, 64, 128)]


def test_a_derived_patch_describes_the_statements_of_the_recipe() -> None:
    edits = {edit.function: edit for edit in from_profile([TO_NCHW, FROM_NCHW], "p.csv", "x").patch.edits}
    assert edits["four_2_five"].conjuncts == (
        'src_format.upper() == "NCHW"',
        "shape_input in [...]",
        'dtype_input == "float16"',
    )
    assert edits["five_2_four"].called_from == "trans_data.py"


@pytest.mark.parametrize(
    ("skipped", "why"),
    [
        (
            run(tensor((1, 3, 8, 8), "NCHW", "float"), tensor((1, 1, 8, 8, 16), "NC1HWC0", "float")),
            "not consulted for float",
        ),
        (
            run(tensor((1, 1, 8, 8, 32), "NC1HWC0", "int8"), tensor((1, 3, 8, 8), "NCHW", "int8")),
            "not consulted for int8",
        ),
        (run(tensor((64, 64, 3, 3), "NCHW"), tensor((36, 4, 16, 16), "FRACTAL_Z")), "another function"),
        (run(tensor((3, 8, 8), "NCHW"), tensor((1, 8, 8, 16), "NC1HWC0")), "4-D tensors only"),
        (run(tensor((-1, 1, 8, 8, 16), "NC1HWC0"), tensor((-1, 3, 8, 8), "NCHW")), "not known before the run"),
        (run(tensor(None, "NC1HWC0"), tensor(None, "NCHW")), "unknown shape"),
        (run(tensor((1, 8, 8, 3), "NHWC"), tensor((1, 1, 8, 8, 16), "NC1HWC0")), "neither"),
    ],
)
def test_what_no_list_would_change_is_left_out_with_the_reason(skipped: SimpleNamespace, why: str) -> None:
    derived = from_profile([TO_NCHW, skipped], "p.csv", "x")
    assert [why in item.why for item in derived.skipped] == [True]
    assert sum(len(edit.entries) for edit in derived.patch.edits) == 1


def test_float32_outputs_count() -> None:
    logits = run(tensor((1, 2, 8, 8, 16), "NC1HWC0", "float"), tensor((1, 19, 8, 8), "NCHW", "float"))
    assert shapes(from_profile([logits], "p.csv", "x"), "five_2_four") == [(1, 19, 8, 8)]


def test_other_operators_do_not_count() -> None:
    with pytest.raises(PatchError, match="nothing in it converts"):
        from_profile([run(TO_NCHW.inputs[0], TO_NCHW.outputs[0], op_type="TransposeD")], "p.csv", "x")


def test_the_costliest_comes_first_and_runs_of_a_shape_add_up() -> None:
    cheap = run(tensor((1, 1, 8, 8, 16), "NC1HWC0"), tensor((1, 8, 8, 8), "NCHW"), 3.0)
    costly = run(TO_NCHW.inputs[0], TO_NCHW.outputs[0], 2.0)
    derived = from_profile([cheap, costly, costly], "p.csv", "x")
    assert shapes(derived, "five_2_four") == [(1, 19, 64, 128), (1, 8, 8, 8)]
    assert derived.patch.edits[0].entries[0].why == "4.0 us in p.csv (2 runs, first trans)"


MODEL = """
    <ir_version: 8, opset_import: ["" : 13]>
    pooled (float[{n},3,32,64] image) => (float[{n},4,32,64] output1, int64[{n},1,32,64] labels)
    <float[4,3,1,1] w = {{1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}}, float[4] same = {{1, 1, 32, 64}}>
    {{
        a = Conv(image, w)
        [whole] p = AveragePool<kernel_shape = [32, 64], strides = [1, 1]>(a)
        [small] q = AveragePool<kernel_shape = [15, 17], strides = [1, 1]>(a)
        [far] r = AveragePool<kernel_shape = [1, 1], strides = [1, 64]>(a)
        [enlarge] e = Resize<mode = "linear">(p, , same)
        output1 = Add(a, e)
        labels = ArgMax<axis = 1>(output1)
    }}
"""


def model(n: str = "1") -> onnx.ModelProto:
    return onnx.parser.parse_model(MODEL.format(n=n))


@pytest.mark.parametrize("n", ["1", "N"])
def test_boundaries_and_pools_beyond_the_limits_count_at_the_batch_size_at_hand(n: str) -> None:
    derived = from_model(model(n), 4, "m.onnx", "x")
    assert shapes(derived, "five_2_four") == [(4, 4, 32, 64)]
    assert shapes(derived, "four_2_five") == [(4, 3, 32, 64), (4, 4, 1, 1), (4, 4, 32, 1)]


def test_every_reason_of_a_shape_is_given() -> None:
    why = from_model(model(), 1, "m.onnx", "x").patch.edits[0].entries[0].why
    assert "graph output output1" in why
    assert "kernel 32x64 has 2048 elements (at most 255)" in why
    assert "stride is 1x64 (at most 63)" in why


def test_a_pool_at_the_limit_stays_on_the_core() -> None:
    # 15 x 17 = 255
    reasons = [entry.why for edit in from_model(model(), 1, "m.onnx", "x").patch.edits for entry in edit.entries]
    assert not any("small" in why for why in reasons)


def test_tensors_that_are_not_float_are_left_out() -> None:
    derived = from_model(model(), 1, "m.onnx", "x")
    assert [(item.what, "int64" in item.why) for item in derived.skipped] == [("five_2_four: labels", True)]


@pytest.mark.parametrize(("width", "mode", "found"), [(2048, "linear", 0), (2056, "linear", 1), (2056, "nearest", 0)])
def test_bilinear_resize_counts_above_2048_only(width: int, mode: str, found: int) -> None:
    text = f"""
        <ir_version: 8, opset_import: ["" : 13]>
        wide (float[1,3,8,{width // 2}] image) => (float[1,3,4,{width // 2}] output1)
        <float[4] half = {{1, 1, 0.5, 1}}, float[4] twice = {{1, 1, 1, 2}}, float[4] back = {{1, 1, 1, 0.5}}>
        {{
            s = Resize<mode = "nearest">(image, , half)
            [widen] e = Resize<mode = "{mode}">(s, , twice)
            output1 = Resize<mode = "nearest">(e, , back)
        }}
    """
    derived = from_model(onnx.parser.parse_model(text), 1, "m.onnx", "x")
    reasons = [entry.why for edit in derived.patch.edits for entry in edit.entries]
    sentence = f"Resize widen, which leaves the AI Core: a side of {width} is above 2048"
    assert sum(sentence in why for why in reasons) == 2 * found


def test_shapes_that_the_tree_lists_are_left_out(make_tree: MakeTree, vendor: SimpleNamespace) -> None:
    listed = vendor.five_2_four().replace("[16, 240, 7, 7]", "[1, 19, 64, 128]")
    derived = without_listed(from_profile([TO_NCHW, FROM_NCHW], "p.csv", "x"), make_tree({"five_2_four.py": listed}))
    assert [edit.function for edit in derived.patch.edits] == ["four_2_five"]
    assert "lists it" in derived.skipped[0].why


def test_a_tree_that_lists_everything_needs_no_patch(make_tree: MakeTree, vendor: SimpleNamespace) -> None:
    listed = vendor.five_2_four().replace("[16, 240, 7, 7]", "[1, 19, 64, 128]")
    with pytest.raises(PatchError, match="every shape already"):
        without_listed(from_profile([TO_NCHW], "p.csv", "x"), make_tree({"five_2_four.py": listed}))
