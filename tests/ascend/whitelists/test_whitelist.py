import ast
from collections.abc import Sequence
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource, Statement
from fastscnn_opt.ascend.whitelists.patchfile import Edit, WhiteListEntry

EDIT = Edit(file="a.py", function="f", assigned="white", entries=(WhiteListEntry(shape=(1,), why="test"),))


def statement(text: str) -> Statement:
    return OperatorSource(text.encode(), "a.py").find(EDIT)


def extended(text: str, *shapes: Sequence[int]) -> str:
    return statement(text).with_shapes([tuple(shape) for shape in shapes]).decode()


def without(text: str, *shapes: Sequence[int]) -> str:
    return statement(text).without_shapes([tuple(shape) for shape in shapes]).decode()


def listed(text: str) -> list[object]:
    """Read the list with the standard library alone."""
    assigned = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assign))
    return [list(item) for item in ast.literal_eval(assigned.value)]


LAYOUTS = {
    "one line": ("white = [[1], [2]]", "white = [[1], [2], [8, 8], [9, 9]]"),
    "empty": ("white = []", "white = [[8, 8], [9, 9]]"),
    "empty with a comment": (
        "white = [  # none yet\n    ]",
        "white = [  # none yet\n    [8, 8], [9, 9]]",
    ),
    "trailing comma": ("white = [[1], [2],]", "white = [[1], [2], [8, 8], [9, 9],]"),
    "aligned": (
        "white = [[1], [2],\n             [3]]",
        "white = [[1], [2],\n             [3], [8, 8], [9, 9]]",
    ),
    "bracket on its own line": (
        "white = [\n        [1], [2],\n        [3]\n    ]",
        "white = [\n        [1], [2],\n        [3], [8, 8], [9, 9]\n    ]",
    ),
    "one per line": (
        "white = [\n        [1],\n        [2],\n    ]",
        "white = [\n        [1],\n        [2],\n        [8, 8],\n        [9, 9],\n    ]",
    ),
    "comment behind the last": (
        "white = [\n        [1],  # a\n        [2]  # b\n    ]",
        "white = [\n        [1],  # a\n        [2],  # b\n        [8, 8],\n        [9, 9]\n    ]",
    ),
    "comment behind the last comma": (
        "white = [\n        [1],  # a\n        [2],  # b\n    ]",
        "white = [\n        [1],  # a\n        [2],  # b\n        [8, 8],\n        [9, 9],\n    ]",
    ),
    "comment on the last line": (
        "white = [\n        [1], [2],\n        # the end\n    ]",
        "white = [\n        [1], [2], [8, 8], [9, 9],\n        # the end\n    ]",
    ),
    "tuple of lists": ("white = ([1], [2])", "white = ([1], [2], [8, 8], [9, 9])"),
    "tuple of one": ("white = ([1],)", "white = ([1], [8, 8], [9, 9],)"),
    "list of tuples": ("white = [(1,), (2, 3)]", "white = [(1,), (2, 3), (8, 8), (9, 9)]"),
    "bare tuple": ("white = [1], [2]", "white = [1], [2], [8, 8], [9, 9]"),
    "line break by backslash": ("white = \\\n        [[1]]", "white = \\\n        [[1], [8, 8], [9, 9]]"),
    "parentheses": ("white = ([[1], [2]])", "white = ([[1], [2], [8, 8], [9, 9]])"),
}


def in_function(line: str) -> str:
    return f"def f():\n    {line}\n    return white\n"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_is_kept(layout: str) -> None:
    before, after = LAYOUTS[layout]
    assert extended(in_function(before), [8, 8], [9, 9]) == in_function(after)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_taking_out_what_was_added_gives_the_text_back(layout: str) -> None:
    before, after = LAYOUTS[layout]
    assert without(in_function(after), [8, 8], [9, 9]) == in_function(before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("white = ()", "white = ([8, 8],)"),
        ("white = [([1]), ( [2] )]", "white = [([1]), ( [2] ), [8, 8]]"),
        ("white = (1,), (2, 3)", "white = (1,), (2, 3), (8, 8)"),
        ("white = ([1]), ([2])", "white = ([1]), ([2]), [8, 8]"),
        ("white = ([1]),", "white = ([1]), [8, 8],"),
    ],
)
def test_parentheses_of_the_list_and_of_its_elements_are_told_apart(before: str, after: str) -> None:
    assert extended(in_function(before), [8, 8]) == in_function(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("white = ([8], [1])", "white = ([1],)"),
        ("white = [1], [8]", "white = [1],"),
        ("white = [8], [8]", "white = ()"),
        ("white = [[8], [8]]", "white = []"),
        ("white = [[8],  # old\n        [1]]", "white = [  # old\n        [1]]"),
    ],
)
def test_what_is_left_is_a_list_or_a_tuple_still(before: str, after: str) -> None:
    assert without(in_function(before), [8]) == in_function(after)


def test_a_full_line_wraps_to_the_column_of_the_first_element() -> None:
    line = "white = [" + ", ".join(f"[16, {channels}, 14, 14]" for channels in range(100, 105))
    before = in_function(f"{line}]")
    assert len(before.splitlines()[1]) <= 120
    assert extended(before, [1, 128, 32, 64]) == in_function(f"{line},\n{' ' * 13}[1, 128, 32, 64]]")


def test_a_line_that_is_longer_already_sets_the_width() -> None:
    long = "[" + ", ".join(["[16, 240, 14, 14]"] * 8)
    before = in_function(f"white = {long},\n             [1]]")
    assert extended(before, [2]) == in_function(f"white = {long},\n             [1], [2]]")


def test_tabs_stay_tabs() -> None:
    before = "def f():\n\twhite = [\n\t\t[1],\n\t\t[2]\n\t]\n"
    assert extended(before, [3]) == "def f():\n\twhite = [\n\t\t[1],\n\t\t[2],\n\t\t[3]\n\t]\n"


def test_entries_in_the_middle_leave_their_neighbours_and_comments() -> None:
    before = dedent("""\
        def f():
            white = [
                [1], [8], [2],  # two
                [9],
                [3],  # three
                [8, 8]
            ]
    """)
    after = dedent("""\
        def f():
            white = [
                [1], [2],  # two
                [3]  # three
            ]
    """)
    assert without(before, [8], [9], [8, 8]) == after


def test_elements_that_are_not_plain_integers_are_left_alone() -> None:
    text = in_function("white = [[N, 1], [1, 2], [-1, 2]]")
    assert statement(text).shapes == (None, (1, 2), (-1, 2))


numbers = st.lists(st.integers(1, 4096), min_size=1, max_size=5)
gaps = st.sampled_from(["", " ", "  ", "\n", "\n        ", "  # note\n      ", "\n\n    # line\n  ", " \\\n "])


@st.composite
def lists(draw: st.DrawFn) -> str:
    opening, closing = draw(st.sampled_from(["[]", "()"]))
    shapes = draw(st.lists(numbers, min_size=2, max_size=6))
    brackets = draw(st.sampled_from([list, tuple]))
    body = ",".join(draw(gaps) + str(brackets(shape)) for shape in shapes)
    return f"{opening}{body}{draw(st.sampled_from(['', ',']))}{draw(gaps)}{closing}"


short_shapes = st.lists(st.integers(1, 4096), min_size=1, max_size=4)


@given(lists(), st.lists(short_shapes, min_size=1, max_size=5, unique_by=tuple))
def test_any_layout_takes_new_shapes_and_gives_them_back(text: str, shapes: list[list[int]]) -> None:
    before = in_function(f"white = {text}")
    new = [[5000, *shape] for shape in shapes]  # larger than any that is there
    after = extended(before, *new)
    assert listed(after) == listed(before) + new
    assert without(after, *new) == before
