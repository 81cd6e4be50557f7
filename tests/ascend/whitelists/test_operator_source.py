import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource, StatementError
from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch, WhiteListEntry
from fastscnn_opt.errors import PatchError

NEW = (1, 19, 64, 128)


def five(recipe: Patch) -> Edit:
    return recipe.edits_of("five_2_four.py")[0]


def four(recipe: Patch) -> Edit:
    return recipe.edits_of("four_2_five.py")[0]


def changed_lines(before: str, after: bytes) -> list[str]:
    """Return the lines of `after` that `before` does not have at all."""
    known = set(before.splitlines())
    return [line for line in after.decode().splitlines() if line not in known]


def test_only_the_two_lines_of_the_list_change(vendor: SimpleNamespace, recipe: Patch) -> None:
    text = vendor.five_2_four(lines=500)
    after = OperatorSource(text.encode(), "five_2_four.py").find(five(recipe)).with_shapes([NEW])
    assert changed_lines(text, after) == [
        " " * 56 + "[16, 240, 7, 7], [16, 120, 14, 14], [1, 19, 64, 128]]:",
    ]


def test_all_neighbours_keep_their_lines(vendor: SimpleNamespace, recipe: Patch) -> None:
    text = vendor.five_2_four()
    after = OperatorSource(text.encode(), "five_2_four.py").find(five(recipe)).with_shapes([NEW]).decode()
    assert after.replace(", [1, 19, 64, 128]]:", "]:") == text


@pytest.mark.parametrize("lines", [0, 34, 900])
def test_the_line_is_that_of_the_statement(vendor: SimpleNamespace, recipe: Patch, lines: int) -> None:
    text = vendor.five_2_four(lines=lines)
    line = OperatorSource(text.encode(), "five_2_four.py").find(five(recipe)).line
    assert text.splitlines()[line - 1].strip().startswith('elif dst_format.lower() == "nchw" and dst_shape in [[2560')


@pytest.mark.parametrize(
    "branch",
    [
        'elif dst_format.lower() == "nchw" and dst_shape in [[16, 240, 7, 7]]:',
        "elif dst_format.lower() == 'nchw' and dst_shape in [[16, 240, 7, 7]]:",
        'elif dst_format.upper() == "NCHW" and dst_shape in [[16, 240, 7, 7]]:',
        'elif dst_shape in [[16, 240, 7, 7]] and dst_format.lower() == "nchw":',
        'elif (dst_format.lower() == "nchw") and (dst_shape in [[16, 240, 7, 7]]):',
        'elif (dst_format.lower() == "nchw"\n          and dst_shape in [[16, 240, 7, 7]]):',
        'elif dst_format.lower() == "nchw" \\\n            and dst_shape in [[16, 240, 7, 7]]:',
        'elif "nchw" == dst_format.lower() and dst_shape in [[16, 240, 7, 7],]:',
        'elif dst_format.lower() == "nchw" and dst_shape in ([16, 240, 7, 7],):',
        'elif dst_format.lower() == "nchw" and dst_shape in [  # tiled\n            [16, 240, 7, 7],  # a\n        ]:',
        'elif dst_format.lower() == "nchw" and dst_shape in []:',
    ],
)
def test_every_spelling_of_the_statement_is_found(vendor: SimpleNamespace, recipe: Patch, branch: str) -> None:
    source = vendor.five_2_four(branch).encode()
    compile(source, "five_2_four.py", "exec")
    after = OperatorSource(source, "five_2_four.py").find(five(recipe)).with_shapes([NEW])
    compile(after, "five_2_four.py", "exec")
    assert OperatorSource(after, "five_2_four.py").find(five(recipe)).shapes[-1] == NEW


@pytest.mark.parametrize(
    "statement",
    [
        'if src_format.upper() == "NCHW" and shape_input in [[16, 240, 7, 7]] and dtype_input == "float16":',
        'if dtype_input == "float16" and (src_format.upper() == "NCHW" and shape_input in [[16, 240, 7, 7]]):',
        "if (src_format.upper() == 'NCHW' and shape_input in [[16, 240, 7, 7]]) and dtype_input == 'float16':",
        'if src_format.lower() == "nchw" and dtype_input == "float16" and shape_input in [[16, 240, 7, 7]]:',
    ],
)
def test_three_conjuncts_are_found_in_any_nesting(vendor: SimpleNamespace, recipe: Patch, statement: str) -> None:
    source = OperatorSource(vendor.four_2_five(statement).encode(), "four_2_five.py")
    assert source.find(four(recipe)).shapes == ((16, 240, 7, 7),)


def test_the_list_may_span_lines_before_a_third_conjunct(vendor: SimpleNamespace, recipe: Patch) -> None:
    text = vendor.four_2_five(vendor.FLOAT16_TWO_LINES)
    after = OperatorSource(text.encode(), "four_2_five.py").find(four(recipe)).with_shapes([(1, 3, 8, 8)])
    assert changed_lines(text, after) == [
        " " * 56 + '[1, 1, 480, 720], [1, 3, 8, 8]] and dtype_input == "float16":',
    ]


@pytest.mark.parametrize(
    "branch",
    [
        'elif dst_format.lower() == "nchw" and dst_shape in [[16, 240, 7, 7]] and dtype == "float32":',
        'elif dst_format.lower() == "nchw" and src_shape in [[16, 240, 7, 7]]:',
        'elif dst_format.lower() == "nchw" and dst_shape == [16, 240, 7, 7]:',
        'elif dst_format.lower() == "nchw" and dst_shape not in [[16, 240, 7, 7]]:',
        'elif dst_format.lower() == "nchw" or dst_shape in [[16, 240, 7, 7]]:',
        'elif not (dst_format.lower() == "nchw" and dst_shape in [[16, 240, 7, 7]]):',
        'elif dst_format.lower() == "NCHW" and dst_shape in [[16, 240, 7, 7]]:',
        'elif dst_format.lower() == "nchw" and dst_shape in [16, 240, 7, 7]:',
        'elif dst_format.lower() == "nchw" and dst_shape in WHITE_LIST:',
        "elif dst_shape in [[16, 240, 7, 7]]:",
    ],
)
def test_a_statement_that_is_only_alike_is_refused_with_its_line(
    vendor: SimpleNamespace, recipe: Patch, branch: str
) -> None:
    text = vendor.five_2_four(branch)
    line = text.splitlines().index(f"    {branch}") + 1
    with pytest.raises(StatementError) as caught:
        OperatorSource(text.encode(), "five_2_four.py").find(five(recipe))
    # `not (...)` and `... or ...` share no conjunct at all, so they are no candidates; their neighbours are.
    assert f"line {line}:" in str(caught.value) or "not (" in branch or " or " in branch
    assert str(caught.value).count("  line ") >= 2


def test_two_statements_are_refused_with_both_lines(vendor: SimpleNamespace, recipe: Patch) -> None:
    branch = f"{vendor.NCHW_TWO_LINES}\n        pass\n    {vendor.NCHW_TWO_LINES}"
    text = vendor.five_2_four(branch)
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "[[2560, 512, 4, 26]" in line]
    with pytest.raises(StatementError) as caught:
        OperatorSource(text.encode(), "five_2_four.py").find(five(recipe))
    assert len(lines) == 2
    assert all(f"line {line}" in str(caught.value) for line in lines)


def test_a_missing_function_is_refused_with_what_is_like_it_elsewhere(vendor: SimpleNamespace, recipe: Patch) -> None:
    text = vendor.five_2_four().replace("def five_2_four(", "def five_to_four(")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "[[2560, 512, 4, 26]" in line)
    with pytest.raises(StatementError, match="there is no function five_2_four") as caught:
        OperatorSource(text.encode(), "five_2_four.py").find(five(recipe))
    assert f"line {line}:" in str(caught.value)


def test_a_function_inside_the_function_is_another_function(vendor: SimpleNamespace, recipe: Patch) -> None:
    inner = (
        'def choose():\n        if dst_format.lower() == "nchw" and dst_shape in [[1, 1, 1, 1]]:\n            0\n    '
    )
    text = vendor.five_2_four().replace("    dtype = src", f"    {inner}dtype = src", 1)
    assert len(OperatorSource(text.encode(), "five_2_four.py").find(five(recipe)).shapes) == 5


def test_a_function_defined_under_a_condition_is_found(recipe: Patch) -> None:
    text = (
        "try:\n    def five_2_four(dst_format, dst_shape):\n"
        '        if dst_format.lower() == "nchw" and dst_shape in [[1, 2, 3, 4]]:\n            0\nfinally:\n    pass\n'
    )
    assert OperatorSource(text.encode(), "five_2_four.py").find(five(recipe)).line == 3


def transpose_edit() -> Edit:
    return Edit(
        file="dynamic/transpose.py",
        function="_by_dynamic_static_union_version",
        assigned="white_list_shape",
        entries=(WhiteListEntry(shape=(1, 64, 2, 2, 114, 114), why="pixel shuffle"),),
    )


def test_a_list_bound_to_a_name_is_found_among_similar_names(vendor: SimpleNamespace) -> None:
    after = (
        OperatorSource(vendor.TRANSPOSE.encode(), "transpose.py")
        .find(transpose_edit())
        .with_shapes([(1, 64, 2, 2, 114, 114)])
    )
    assert changed_lines(vendor.TRANSPOSE, after) == [" " * 25 + "[80, 240, 8], [1100], [1, 64, 2, 2, 114, 114]"]


def test_a_name_bound_twice_is_refused(vendor: SimpleNamespace) -> None:
    text = vendor.TRANSPOSE.replace(
        "    shape_t = list(shape)", "    white_list_shape = [[1]]\n    shape_t = list(shape)"
    )
    with pytest.raises(StatementError, match="2 statements"):
        OperatorSource(text.encode(), "transpose.py").find(transpose_edit())


def test_a_name_bound_to_something_else_is_refused(vendor: SimpleNamespace) -> None:
    text = vendor.TRANSPOSE.replace("    white_list_shape = [", "    white_list_shape = load() or [")
    with pytest.raises(StatementError, match="no statement"):
        OperatorSource(text.encode(), "transpose.py").find(transpose_edit())


@pytest.mark.parametrize(
    ("encode", "newline"),
    [
        (lambda text: b"\xef\xbb\xbf" + text.encode(), "\n"),
        (lambda text: ("# -*- coding: latin-1 -*-\n# caf\xe9\n" + text).encode("latin-1"), "\n"),
        (lambda text: ("# \u6ce8\u91ca \U0001f600\n" + text).encode(), "\n"),
        (lambda text: text.encode(), "\r\n"),
        (lambda text: text.encode().rstrip(), "\n"),
        (lambda text: text.replace("    n_i", "\tn_i").encode(), "\n"),
    ],
    ids=["byte order mark", "latin-1", "wide characters", "CRLF", "no newline at the end", "form"],
)
def test_every_other_byte_stays(vendor: SimpleNamespace, recipe: Patch, encode, newline: str) -> None:
    raw = encode(vendor.five_2_four().replace("\n", newline))
    after = OperatorSource(raw, "five_2_four.py").find(five(recipe)).with_shapes([NEW])
    assert after.replace(b", [1, 19, 64, 128]", b"") == raw


def test_a_broken_file_is_refused_with_its_line() -> None:
    with pytest.raises(PatchError, match=r"five_2_four\.py, line 3: not valid Python"):
        OperatorSource(b"a = 1\nb = 2\nc = (\n", "five_2_four.py")


def test_bytes_of_another_encoding_are_refused() -> None:
    with pytest.raises(PatchError, match="cannot be decoded"):
        OperatorSource(b'a = "\xe9"\n', "five_2_four.py")


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("five_2_four.five_2_four(src)", True),
        ("impl.five_2_four.five_2_four(src)", True),
        ("five_2_four . five_2_four (\n    src)", True),
        ("# five_2_four.five_2_four(src)", False),
        ('"five_2_four.five_2_four(src)"', False),
        ("five_2_four_int8.five_2_four(src)", False),
        ("x = five_2_four.five_2_four", False),
        ("from impl import five_2_four", False),
    ],
)
def test_only_a_call_is_a_call(text: str, calls: bool) -> None:
    assert OperatorSource(f"{text}\n".encode(), "trans_data.py").calls("five_2_four.five_2_four") is calls


def test_a_long_chain_of_branches_is_searched_to_its_end(vendor: SimpleNamespace, recipe: Patch) -> None:
    links = "".join(f"elif dtype == 'type{index}':\n        pass\n    " for index in range(900))
    raw = vendor.five_2_four(links + vendor.NCHW_TWO_LINES).encode()
    assert OperatorSource(raw, "five_2_four.py").find(five(recipe)).shapes[0] == (2560, 512, 4, 26)


@pytest.mark.parametrize("depth", [700, 900, 20_000])
def test_what_is_nested_too_deeply_is_refused(recipe: Patch, depth: int) -> None:
    raw = f"def five_2_four():\n    if a{'.a' * depth}:\n        pass\n".encode()
    with pytest.raises(PatchError, match=r"five_2_four\.py: (an expression in it is|its statements are) nested too"):
        OperatorSource(raw, "five_2_four.py").find(five(recipe))


def test_a_source_of_ten_thousand_lines_parses_without_a_warning_on_the_way(
    vendor: SimpleNamespace, recipe: Patch
) -> None:
    text = vendor.five_2_four(lines=10_000)
    statement = OperatorSource(text.encode(), "five_2_four.py").find(five(recipe))
    assert statement.line > 9_900
    assert len(changed_lines(text, statement.with_shapes([NEW]))) == 1


words = st.sampled_from(
    [
        *(
            "def five_2_four():\n",
            "    if ",
            "    elif ",
            "dst_format.lower()",
            " == ",
            "'nchw'",
            " and ",
            " or ",
            "dst_shape",
        ),
        *(
            " in ",
            "[[1, 2, 3, 4]]",
            "[",
            "]",
            "(",
            ")",
            ",",
            ":",
            "\n",
            "\n        pass\n",
            "\\\n",
            "# note\n",
            "\t",
            "\f",
        ),
        *("\r", "\0", "\ufeff"),
    ]
)


@given(st.lists(words, max_size=40).map("".join) | st.text() | st.binary())
def test_any_bytes_are_read_or_refused(recipe: Patch, content: str | bytes) -> None:
    raw = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
    try:
        statement = OperatorSource(raw, "five_2_four.py").find(five(recipe))
    except PatchError as error:
        assert "five_2_four.py" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert statement.without_shapes([]) == raw


def test_finding_needs_no_vendor_module() -> None:
    # The sources import modules that exist on a device host only; they are parsed, never imported.
    imported = "import fastscnn_opt.ascend.whitelists.operator_source, sys"
    code = f"{imported}; print(sorted(name for name in sys.modules if name in ('te', 'impl')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
