"""resize-nearest: which nodes change, how they round, and what older opsets cannot say."""

import numpy as np
import onnx
import pytest
from graphs import parse, random_input, run

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager

ROUND = {
    "half-up": lambda x: np.floor(x + 0.5),
    "half-down": lambda x: np.ceil(x - 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
UP = "float[4] twice = {1, 1, 2, 2}"


def attributes(model: onnx.ModelProto, name: str) -> dict[str, object]:
    (node,) = (node for node in model.graph.node if node.name == name)
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def skips(result) -> dict[str, str]:
    return {skip.node: skip.why for skip in result.steps[0].skips}


@pytest.mark.parametrize("rounding", list(ROUND))
def test_the_neighbour_is_chosen_by_the_rounding(rewrite, rounding):
    model = parse("""
        g (float[1,2,5,4] x) => (float[1,2,9,10] y) <int64[4] sizes = {1, 2, 9, 10}> {
            [up] y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, , , sizes)
        }
    """)
    result = rewrite(model, f"resize-nearest{{rounding={rounding}}}")
    x = random_input(1, 2, 5, 4)
    rows = ROUND[rounding](np.arange(9) * 4 / 8).astype(int)
    columns = ROUND[rounding](np.arange(10) / 9 * 3).astype(int)
    np.testing.assert_array_equal(run(result.model, x)[0], x[:, :, rows][:, :, :, columns])


def test_half_up_is_the_default_and_the_coordinates_stay(rewrite):
    model = parse(f"""
        g (float[1,2,4,4] x) => (float[1,2,8,8] y) <{UP}> {{
            [up] y = Resize<mode="linear", nearest_mode="floor",
                            coordinate_transformation_mode="align_corners">(x, , twice)
        }}
    """)
    assert attributes(rewrite(model, "resize-nearest").model, "up") == {
        "mode": b"nearest",
        "nearest_mode": b"round_prefer_ceil",
        "coordinate_transformation_mode": b"align_corners",
    }


def test_it_is_lossy_and_says_what_it_did(segmenter, rewrite):
    step = rewrite(segmenter, "resize-nearest").steps[0]
    assert (step.contract, step.verified) == (Contract.LOSSY, None)
    assert [(change.node, change.what) for change in step.changes] == [
        (name, "linear -> nearest, round_prefer_ceil") for name in ("up1", "up3", "main_up", "aux_up")
    ]


@pytest.mark.parametrize(
    ("only", "changed"),
    [
        ("head", ["main_up", "aux_up"]),
        ("body", ["up1", "up3"]),
        ("main_*", ["main_up"]),
        ("up1|main_up", ["up1", "main_up"]),
    ],
)
def test_only_selects_and_the_rest_is_reported(segmenter, rewrite, only, changed):
    result = rewrite(segmenter, f"resize-nearest{{only={only}}}")
    assert [change.node for change in result.steps[0].changes] == changed
    others = {"up1", "up3", "main_up", "aux_up"} - set(changed)
    assert skips(result) == dict.fromkeys(sorted(others, key=list(skips(result)).index), f"not selected by only={only}")


@pytest.mark.parametrize("mode", ["nearest", "cubic"])
def test_other_modes_are_left_alone(rewrite, mode):
    model = parse(f"""
        g (float[1,2,4,4] x) => (float[1,2,8,8] y) <{UP}> {{ [up] y = Resize<mode="{mode}">(x, , twice) }}
    """)
    result = rewrite(model, "resize-nearest")
    assert result.steps[0].changes == []
    assert skips(result) == {"up": f"mode is {mode}, not linear"}


def test_the_default_mode_is_nearest(rewrite):
    model = parse(f"g (float[1,2,4,4] x) => (float[1,2,8,8] y) <{UP}> {{ [up] y = Resize(x, , twice) }}")
    assert skips(rewrite(model, "resize-nearest")) == {"up": "mode is nearest, not linear"}


def test_attributes_of_interpolation_go(rewrite):
    model = parse(
        """
        g (float[1,2,4,4] x) => (float[1,2,2,2] y) <float[4] half = {1, 1, 0.5, 0.5}> {
            [down] y = Resize<mode="linear", antialias=1, exclude_outside=1, cubic_coeff_a=-0.5>(x, , half)
        }
        """,
        opset=18,
    )
    result = rewrite(model, "resize-nearest{rounding=floor}")
    assert attributes(result.model, "down") == {"mode": b"nearest", "nearest_mode": b"floor"}
    x = random_input(1, 2, 4, 4)
    np.testing.assert_array_equal(run(result.model, x)[0], x[:, :, ::2, ::2])


@pytest.mark.parametrize(("opset", "op"), [(9, "Upsample"), (10, "Resize")])
def test_before_opset_11_only_floor_is_possible(rewrite, opset, op):
    text = f'g (float[1,2,4,4] x) => (float[1,2,8,8] y) <{UP}> {{ [up] y = {op}<mode="linear">(x, twice) }}'
    model = parse(text, opset=opset)
    with pytest.raises(PassError, match=f"up: {op} of opset {opset} always rounds down; use rounding=floor"):
        PassManager("resize-nearest").run(model)
    x = random_input(1, 2, 4, 4)
    result = rewrite(model, "resize-nearest{rounding=floor}")
    np.testing.assert_array_equal(run(result.model, x)[0], x.repeat(2, axis=2).repeat(2, axis=3))


def test_a_pattern_that_matches_nothing_is_an_error(segmenter):
    with pytest.raises(PassError, match=r"'main_down' matches no Resize node; did you mean 'main_up'"):
        PassManager("resize-nearest{only=main_down}").run(segmenter)
