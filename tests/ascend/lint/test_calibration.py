"""Only the published conversions of the logits tell a difference in time, and only beside a measured run."""

import pytest
from graphs import parse

from fastscnn_opt.ascend.chip import TO_NCHW
from fastscnn_opt.ascend.lint.calibration import LOGITS, difference
from fastscnn_opt.ascend.lint.graph import open_graph
from fastscnn_opt.errors import TargetError

WIDE = "g (float[1,19,512,1024] x) => ({outputs}) <float[4] s = {{1, 1, 2, 2}}> {{ y = Resize(x, , s) {casts} }}"
LISTED = frozenset([(TO_NCHW, LOGITS)])
MEASURED_MS = 4000 / 4.135


def model(kinds, shape="1,19,1024,2048", listed=LISTED, **more):
    outputs = ", ".join(f"{kind}[{shape}] o{index}" for index, kind in enumerate(kinds))
    casts = " ".join(f"o{index} = Cast<to={10 if kind == 'float16' else 1}>(y)" for index, kind in enumerate(kinds))
    return open_graph(parse(WIDE.format(outputs=outputs, casts=casts)), listed=listed, **more)


def test_float16_outputs_save_what_was_published_and_nearly_what_the_recipe_measured():
    saved = difference(model(["float"] * 3), model(["float16"] * 3), "half", MEASURED_MS)
    assert saved.saved_ms == pytest.approx(3 * (272.4304 - 5.4832))
    assert saved.saved_ms == pytest.approx(4000 / 4.135 - 4000 / 22.518, rel=0.02)
    assert "sibling network" in saved.source


@pytest.mark.parametrize(
    ("one", "two", "listed", "saved_ms"),
    [
        (["float"], ["float16"], frozenset(), 558.2315 - 5.4832),
        (["float", "float"], ["float"], LISTED, 272.4304),
        (["float16"], ["float"], LISTED, 5.4832 - 272.4304),
    ],
)
def test_white_lists_and_copies_of_an_output_count(one, two, listed, saved_ms):
    saved = difference(model(one, listed=listed), model(two, listed=listed), "other", MEASURED_MS)
    assert saved.saved_ms == pytest.approx(saved_ms)


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        (model(["float"], cann="6.0"), model(["float16"], cann="6.0"), "are of CANN 5.0.2, not 6.0"),
        (model(["float"]), model(["float"]), "only float32 and float16 outputs of 1x19x1024x2048"),
        (model(["float"]), model(["uint8"]), "only float32 and float16 outputs of 1x19x1024x2048"),
        (model(["float"]), model(["float16"], listed=frozenset()), "the white lists are not the same"),
        (model(["float"] * 4), model(["float16"] * 4), "measured 967.4 ms are less than the 1067.8 ms"),
    ],
    ids=["release", "the same", "another type", "other lists", "less than is saved"],
)
def test_every_other_case_is_refused_with_its_reason(one, two, why):
    with pytest.raises(TargetError, match=why):
        difference(one, two, "other", MEASURED_MS)


def test_another_shape_and_other_operators_are_refused():
    text = "g (float[2,19,8,8] x) => ({}[2,19,8,8] y) {{ r = {}(x) y = Cast<to={}>(r) }}"
    wide, half, other = (
        open_graph(parse(text.format(*words)))
        for words in (("float", "Relu", 1), ("float16", "Relu", 10), ("float16", "Abs", 10))
    )
    with pytest.raises(TargetError, match="only float32 and float16 outputs of 1x19x1024x2048"):
        difference(wide, half, "half", MEASURED_MS)
    with pytest.raises(TargetError, match="differ in more than their outputs"):
        difference(wide, other, "other", MEASURED_MS)
