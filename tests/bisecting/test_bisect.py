"""What a bisection from Python refuses before it measures anything."""

import pytest
from graphs import parse

from fastscnn_opt.bisecting.bisect import bisect
from fastscnn_opt.errors import RunError
from fastscnn_opt.model.saving import save_model


@pytest.fixture
def model(tmp_path):
    save_model(parse("g (float[2] x) => (float[2] y) { y = Neg(x) }"), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.mark.parametrize(
    ("passes", "arguments", "sentence"),
    [
        (None, {}, "either passes with a model, or variant"),
        ("simplify", {"variant": "fast"}, "either passes with a model, or variant"),
        ("simplify", {"max_drop": 1.0, "max_diff": 1.0}, "either max_drop or max_diff"),
        ("simplify", {}, "nothing says how much may be lost"),
        ("simplify", {"max_drop": 1.0}, "needs images"),
    ],
)
def test_arguments_that_do_not_say_what_to_search_are_refused(passes, arguments, sentence, model):
    with pytest.raises(RunError, match=sentence):
        bisect(model, passes, **arguments)


def test_made_up_inputs_are_no_images(model):
    assert bisect(model, "remove-noops", max_diff=1e-3).images is None
