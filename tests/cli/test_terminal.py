"""What a terminal shows, in pseudo terminals of several widths: tables, progress and colours."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from fastscnn_opt.cli.main import run

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(width, *command):
    """Run a command in a terminal of `width` columns; return the exit code and what it showed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "CI")}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment | {"TERM": "xterm-256color"}, close_fds=True
    )
    os.close(slave)
    shown = bytearray()
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    return process.wait(), shown.decode("utf-8").replace("\r\n", "\n")


def tool(*arguments):
    return [sys.executable, "-m", "fastscnn_opt", *map(str, arguments)]


TABLE = """
from fastscnn_opt.cli.printing import TableFormat, print_table
from fastscnn_opt.cli.table import Column
columns = [Column("variant"), Column("mIoU", True), Column("ms", True, rank=1), Column("size", True, rank=2),
           Column("ratio", True)]
rows = [["a variant with a long name", "84.24", "176.34", "1234567.89", "1.00 [1.00, 1.00]"],
        ["short", "84.29", "174.10", "1234567.89", "1.01 [1.00, 1.03]"]]
print_table(columns, rows, TableFormat.TABLE, title="a title that is rather long for a narrow terminal to show")
"""


@pytest.mark.parametrize(
    ("width", "missing"),
    [(30, None), (60, ["size"]), (50, ["ms", "size"]), (80, []), (120, []), (200, [])],
)
def test_a_table_fits_the_width_and_says_what_it_left_out(width, missing):
    code, shown = in_terminal(width, sys.executable, "-c", TABLE)
    lines = ESCAPES.sub("", shown).splitlines()
    assert code == 0
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "1.01 [1.00, 1.03]" in text
    if missing is None:
        assert text.count("variant  ") == 2  # a block of lines for each row
    else:
        assert [line for line in lines if "left out" in line] == (
            [f"left out in this width: {', '.join(missing)}"] if missing else []
        )
    assert ("174.10" in text) == (missing is None or "ms" not in missing)


def test_progress_shows_rate_and_remaining_time_on_a_terminal():
    script = (
        "import time\nfrom fastscnn_opt.cli.printing import note, progress\n"
        "with progress(40, 'images [x]') as advance:\n"
        "    for number in range(40):\n        time.sleep(0.03); advance(1)\n"
        "        if number == 20: note('half')\n"
    )
    code, shown = in_terminal(60, sys.executable, "-c", script)
    text = ESCAPES.sub("", shown)
    assert code == 0
    assert re.search(r"images \[x\] .*\d+/40  \d+\.\d/s  0:00:\d\d left", text)
    assert "half" in text.replace("\r", "\n").splitlines()  # a line of its own, above the bar
    assert max(len(line) for part in text.split("\n") for line in part.split("\r")) <= 60


def test_quiet_shows_neither_notes_nor_progress(model_file, tmp_path):
    code, shown = in_terminal(
        80, *tool("apply", model_file, "-p", "fp16-output", "-o", tmp_path / "o.onnx", "--quiet", "--format", "json")
    )
    assert code == 0
    assert shown.startswith("{")
    assert shown.rstrip().endswith("}")


def test_a_diff_is_coloured_on_a_terminal_only(model_file, tmp_path, capsys):
    run(["apply", str(model_file), "-p", "fp16-output", "-o", str(tmp_path / "o.onnx")])
    arguments = ["diff", str(model_file), str(tmp_path / "o.onnx")]
    assert "\x1b[" in in_terminal(80, *tool(*arguments))[1]
    capsys.readouterr()
    run(arguments)
    assert "\x1b[" not in capsys.readouterr().out
