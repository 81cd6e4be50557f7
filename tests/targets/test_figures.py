"""Numbers in what vendor tools write: all of a text is a number, or none of it is."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets import figures

GARBAGE = ["", " ", "1_000", "3.5 ms", "3.5x", "x3.5", "1+15", "nan", "inf", "1e999", "0x10", "\u0661", "1,5", "--1"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_as_it_is_written(value):
    assert figures.number(repr(value)) == value


@pytest.mark.parametrize("text", GARBAGE)
def test_a_text_that_is_no_number_as_a_whole_is_refused(text):
    with pytest.raises(ValueError, match="is not a number"):
        figures.number(text)


@pytest.mark.parametrize("text", [*GARBAGE, "0", "-1"])
def test_a_figure_that_is_not_above_0_is_refused_with_its_name(text):
    with pytest.raises(TargetError, match=r"^msame: the time is '.*', not a number above 0"):
        figures.positive(text, "the time", "msame")


@given(st.lists(st.floats(width=32)))
def test_a_list_of_numbers_is_read_as_it_is_written(values):
    read = figures.numbers(", ".join(f"{value:.9g}" for value in values))
    np.testing.assert_array_equal(read.astype(np.float32), np.array(values, np.float32))


@pytest.mark.parametrize("text", ["1, 2, 3x", "1, 2 garbage", "1 2", "1,,2", "1,2,", ",", "1;2", "1_0"])
def test_a_list_with_anything_else_in_it_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are those of numpy
        figures.numbers(text)


def test_blanks_are_an_empty_list():
    assert figures.numbers("  ").size == 0


def test_a_release_of_numpy_that_only_warns_of_garbage_is_no_way_round(monkeypatch):
    def old_fromstring(*_, **__):
        warnings.warn("string or file could not be read to its end", DeprecationWarning, stacklevel=2)
        return np.array([1.0, 2.0])

    monkeypatch.setattr(np, "fromstring", old_fromstring)
    warnings.simplefilter("ignore")  # pytest restores it
    with pytest.raises(ValueError, match="could not be read to its end"):
        figures.numbers("1, 2 garbage")
