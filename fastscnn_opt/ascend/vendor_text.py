"""Read the text that a vendor's tool printed, from a log, a redirected file, or a copy out of a document."""

from __future__ import annotations

import codecs
import html
import re
from typing import TYPE_CHECKING

from fastscnn_opt.files import MOST_TABLE_BYTES, open_readable, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

_TERMINAL = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Sequences that colour a terminal, move its cursor or name its window."""

_ASCII = str.maketrans(
    {
        "\N{FULLWIDTH COLON}": ":",
        "\N{FULLWIDTH COMMA}": ",",
        "\N{FULLWIDTH LEFT PARENTHESIS}": "(",
        "\N{FULLWIDTH RIGHT PARENTHESIS}": ")",
        "\N{FULLWIDTH EQUALS SIGN}": "=",
        "\N{FULLWIDTH PERCENT SIGN}": "%",
        "\N{NO-BREAK SPACE}": " ",
        "\N{ZERO WIDTH SPACE}": "",
        "\ufeff": "",
        "\0": "",
        "\r": "\n",
    }
)
"""What editors and documents put in the place of the characters that the tools print."""


def encoding_of(path: Path) -> str:
    """Return the encoding of a text by its first bytes: UTF-16 with its mark, or else UTF-8 with or without one.

    Raises OSError as `open_readable`.
    """
    with open_readable(path, MOST_TABLE_BYTES) as file:
        first = file.read(2)
    return "utf-16" if first in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def read_vendor_text(path: Path) -> str:
    """Return the text of a file as `plain` leaves it. Raises OSError as `open_readable`.

    Bytes of another encoding than `encoding_of` are replaced: what matters in a report is ASCII.
    """
    return plain(read_bytes(path, MOST_TABLE_BYTES).decode(encoding_of(path), errors="replace"))


def plain(text: str) -> str:
    """Return `text` without colours, the escapes of Markdown and HTML, and typographic punctuation."""
    text = _TERMINAL.sub("", text.replace("\r\n", "\n")).translate(_ASCII)
    if "&" in text:
        text = html.unescape(text)
    return re.sub(r"\\(?=[*_()\[\]|#~-])", "", re.sub(r"<br */?>", "\n", text))


def is_filler(text: str) -> bool:
    """Tell whether a piece of a report says nothing: blank, a rule, or the level and the time of a log."""
    words = re.sub(r"\b(INFO|DEBUG|WARN(ING)?|EVENT|root|PM|AM)\b|\d[\dTZ:./,+-]*", "", text)
    return not re.search(r"\w", words.replace("_", ""))


def skipped_lines(text: str, start: int, end: int, known: re.Pattern[str] | None = None) -> list[str]:
    """Return a note for each line between two places of `text` that says something and is not `known`."""
    strange = [
        (index, line.strip()[:60])
        for index, line in enumerate(text[start:end].split("\n"))
        if not is_filler(line) and not (known and known.search(line))
    ]
    first = text.count("\n", 0, start) + 1 if strange else 0
    return [f"line {first + index}: {line!r} is not part of the report, and is skipped" for index, line in strange]
