"""Pipelines as text: the grammar, the round trip, and errors that point at the place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.errors import PipelineError
from fastscnn_opt.rewriting.pipeline import (
    Atom,
    Option,
    PassText,
    format_options,
    format_pipeline,
    parse,
    parse_options,
    read_pipeline,
)

names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
atoms = st.builds(Atom, st.text(max_size=12), st.just(True)) | st.builds(
    Atom, st.from_regex(r"[A-Za-z0-9_*./@=-]{1,8}", fullmatch=True)
)
options = st.lists(
    st.builds(Option, names, st.lists(atoms, min_size=1, max_size=3).map(tuple)), max_size=3, unique_by=lambda o: o.name
)
pipelines = st.lists(st.builds(PassText, names, options.map(tuple)), max_size=4).map(tuple)


@given(pipelines)
def test_printing_and_parsing_round_trips(pipeline):
    assert parse(format_pipeline(pipeline)) == pipeline


@given(st.text(max_size=40))
def test_any_text_parses_to_something_stable_or_is_refused(text):
    try:
        parsed = parse(text)
    except PipelineError:
        return
    assert parse(format_pipeline(parsed)) == parsed


@given(st.dictionaries(st.from_regex(r"[a-zA-Z_]\w*", fullmatch=True), st.text()))
def test_options_alone_round_trip(options):
    assert parse_options(format_options(options)) == options


def test_the_empty_text_is_the_empty_pipeline():
    assert parse("  \n") == ()


def test_white_space_and_line_breaks_may_stand_between_all_parts():
    assert parse(" a { x = 1\n y=2 } ,\n b ") == parse("a{x=1 y=2},b")


def test_a_word_may_be_a_path_or_a_glob():
    (item,) = parse("p{only=/model/Resize_* file=C:\\data\\x.onnx}")
    assert [option.value[0].text for option in item.options] == ["/model/Resize_*", "C:\\data\\x.onnx"]


def test_quotes_protect_separators():
    (item,) = parse("p{keep='a b'|\"c,d|e\"}")
    assert [atom.text for atom in item.options[0].value] == ["a b", "c,d|e"]


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("a{", 1, "never closed"),
        ("a{b}", 3, "expected '='"),
        ("a{b=}", 4, "expected a value"),
        ("a,,b", 2, "expected the name of a pass"),
        ("a,", 2, "expected the name of a pass"),
        ("a b", 2, "expected a comma"),
        ("a}", 1, "closes nothing"),
        ("a{b='x}", 4, "quote is never closed"),
        ("a{b=1 b=2}", 6, "given twice"),
    ],
)
def test_a_syntax_error_points_at_its_place(text, column, what):
    with pytest.raises(PipelineError, match=what) as caught:
        parse(text)
    _, shown, marker = str(caught.value).split("\n")
    assert shown == f"  {text}"
    assert marker.index("^") == 2 + column


def test_an_error_in_a_later_line_shows_that_line():
    with pytest.raises(PipelineError) as caught:
        parse("first,\nsecond third")
    assert "\n  second third\n         ^" in str(caught.value)


def test_a_pipeline_can_come_from_a_file(tmp_path):
    (tmp_path / "fast.txt").write_text("a{b=1},\nc\n")
    assert parse(read_pipeline(f"@{tmp_path / 'fast.txt'}")) == parse("a{b=1},c")


def test_a_missing_pipeline_file_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"none\.txt: the pipeline file cannot be read"):
        read_pipeline(f"@{tmp_path / 'none.txt'}")


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_empty_pipeline_file_is_named(tmp_path, content):
    (tmp_path / "empty.txt").write_text(content)
    with pytest.raises(PipelineError, match=r"empty\.txt: the pipeline file is empty; write passes into it"):
        read_pipeline(f"@{tmp_path / 'empty.txt'}")
