"""Tables on a terminal: what does not fit is folded or left to the terminal, and never cut."""

import re
import sys

from fastscnn_opt.cli.printing import Column, TableFormat, print_table

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
