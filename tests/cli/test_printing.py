"""Tables on a terminal: what does not fit is folded or left to the terminal, and never cut."""

import csv
import io
import re
import sys

import pytest

from fastscnn_opt.cli.main import run
from fastscnn_opt.cli.printing import TableFormat, note, print_json, print_table, say
from fastscnn_opt.cli.table import Column

COLUMNS = [Column("variant"), *(Column(f"figure {number}", figures=True) for number in range(9))]
ROW = ["nearest on the head", *(f"{number}23.45" for number in range(9))]


def print_on_narrow_terminal(columns, row, capsys, monkeypatch):
    """Return the lines of a table that is printed on a terminal of 40 columns."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_table(columns, [row], TableFormat.TABLE)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


def test_a_narrow_terminal_cuts_no_figure(capsys, monkeypatch):
    printed = "\n".join(print_on_narrow_terminal(COLUMNS, ROW, capsys, monkeypatch))
    assert all(figure in printed for figure in ROW[1:])


def test_long_text_is_folded_on_a_narrow_terminal(capsys, monkeypatch):
    lines = print_on_narrow_terminal([Column("name"), Column("cure")], ["a", "many words " * 10], capsys, monkeypatch)
    assert max(map(len, lines)) <= 40


def test_a_table_in_a_pipe_is_one_plain_line_a_row(capsys):
    columns = [Column("name"), Column("ms", figures=True), Column("why")]
    print_table(columns, [["a", "12.5", "many words " * 40 + "end"], ["longer", "3", ""]], TableFormat.TABLE, "a title")
    title, heading, first, second = capsys.readouterr().out.splitlines()
    assert (title, heading) == ("a title", "name      ms  why")
    assert first == "a       12.5  " + "many words " * 40 + "end"
    assert second == "longer     3"


HOSTILE = "a\x1b]0;gotcha\x07\x1b[31m|`x`<script>\n[b](c)*\u202e"
TEXT = [Column("name"), Column("ms", figures=True)]


def printed(name, form, capsys) -> str:
    print_table(TEXT, [[name, "1.00 [0.90, 1.10]"]], form)
    return capsys.readouterr().out


@pytest.mark.parametrize("form", [form for form in TableFormat if form is not TableFormat.JSON])
def test_no_name_controls_the_terminal(form, capsys):
    out = printed(HOSTILE, form, capsys)
    assert not {character for character in out if not character.isprintable()} - {"\n"}


@pytest.mark.parametrize("print_text", [say, note])
def test_lines_and_tabs_of_a_text_stay(print_text, capsys):
    print_text("a\n\tb\x1b[31m\rc")
    captured = capsys.readouterr()
    assert captured.out + captured.err == "a\n\tb\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}c\n"


def test_an_error_that_quotes_a_name_does_not_control_the_terminal(capsys, tmp_path):
    assert run(["eval", str(tmp_path / "\x1b[2Jnet.onnx"), "--synthetic", "1"]) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_a_name_is_no_markup_in_markdown(capsys):
    row = printed(HOSTILE, TableFormat.MD, capsys).splitlines()[2]
    cell = row.removeprefix("| ").partition(" | 1.00 [0.90, 1.10] |")[0]
    assert "\\|\\`x\\`\\<script\\>" in cell
    assert "\\[b\\](c)\\*" in cell


def test_a_name_is_no_tag_in_html(capsys):
    assert "<script>" not in printed(HOSTILE, TableFormat.HTML, capsys)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "\uff0bA1"])
def test_a_name_is_no_formula_in_a_spreadsheet(name, capsys):
    [_, [cell, _]] = csv.reader(io.StringIO(printed(name, TableFormat.CSV, capsys)))
    assert cell.startswith("'")


def test_a_name_is_no_formula_where_a_spreadsheet_splits_at_semicolons(capsys):
    [_, [cell, figure]] = csv.reader(io.StringIO(printed("a;=1;b\n+1", TableFormat.CSV, capsys)))
    assert cell == "a;'=1;b\n'+1"
    assert figure == "1.00 [0.90, 1.10]"


def test_a_negative_figure_stays_a_number_in_a_spreadsheet(capsys):
    print_table(TEXT, [["a", "-1.5"]], TableFormat.CSV)
    assert capsys.readouterr().out.splitlines()[1] == "a,-1.5"


def test_a_name_that_is_no_unicode_is_json_all_the_same(capsys):
    print_json({"file": "a\udcff\u202e"})
    assert capsys.readouterr().out == '{\n  "file": "a\\ufffd\\u202e"\n}\n'


def test_a_heading_is_no_markup(capsys, monkeypatch):
    (heading, *_) = print_on_narrow_terminal([Column("[red]\x1b]0;x")], ["a"], capsys, monkeypatch)[1:]
    assert "[red]" in heading
    assert "\x1b" not in heading


@pytest.mark.parametrize("words", [["--no\x1b[2J"], ["passes", "--no\x1b[2J"], ["bench", "m", "--rounds", "\x1b[2J"]])
def test_wrong_usage_does_not_control_the_terminal(words, capsys):
    assert run(words) == 2
    assert "\x1b" not in capsys.readouterr().err
