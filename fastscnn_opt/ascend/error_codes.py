"""Find what went wrong in the output of atc, or of a tool that runs a compiled file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice, takewhile
from string import ascii_letters, digits
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CODE = r"E(?:\d{5}|[A-Z]\d{4})"
"""A letter and five digits (E10001), or two letters and four (EZ9999)."""

_CODED = re.compile(
    rf"(?<![A-Z0-9_.])({_CODE})(?=:|\s*\[PID)|^\s*({_CODE})(?=\s+[A-Z])|\[PID: ?\d+\][^\n]*?\(({_CODE})\):"
)
_STAMP = re.compile(
    rf"\[PID: ?\d+\]|\d{{4}}-\d\d-\d\d-\d\d:\d\d:\d\d(?:\.\d+)*|\(?\b{_CODE}\)?:|(?:\[(?:FUNC|FILE|LINE): ?[^\]]*\])+"
)
"""What later releases put around the words: process, time, the code once more, and the place in the source."""

_SECTION = re.compile(r"\s*(Possible Cause|Solution|TraceBack|Traceback)\b[^:\n]*:?\s*(.*)")
_NUMBERED = re.compile(r"\b(?:error|ret|return) ?code\b\D{0,6}\d", re.IGNORECASE)
_ANY_ERROR = re.compile(r"\[ERROR\]|\b\w*Error: ?\[|\bATC run failed\b")
"""Lines of tools that print no such code: those with a number are preferred."""

_LONGEST = 4096
"""Characters of a line that are looked at."""


@dataclass(frozen=True)
class VendorError:
    """An error of the vendor's tools: the code (empty where none was printed), the words, and the tool's own cure."""

    code: str
    words: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.words}" if self.code else self.words


def find_error(output: str) -> VendorError | None:
    """Return the first error with a code in `output`, or else the first line of an error, or None.

    The words of a code may go on in the next lines, indented or behind the code once more.
    """
    lines = [line[:_LONGEST] for line in output.splitlines()]
    for index, line in enumerate(lines):
        found = _CODED.search(line)
        if found:
            return _coded(found, line, islice(lines, index + 1, None))
    for form in (_NUMBERED, _ANY_ERROR):
        for line in lines:
            if form.search(line):
                return VendorError("", _clean(line[max(line.find("[ERROR]"), 0) :]))
    return None


def _coded(found: re.Match[str], line: str, following: Iterable[str]) -> VendorError:
    code = next(filter(None, found.groups()))
    words, cure, trace = [_clean(line[found.start() :], code)], "", ""
    section = ""
    for text in _without_prefix(following, line[: found.start()]):
        heading = _SECTION.match(text)
        if heading:
            section = heading[1].lower()
            if section == "solution":
                cure = heading[2].strip()
        elif section == "traceback":
            trace = _clean(text)
            break
        elif not text.strip():
            break
        elif _continues(text, code, words):
            if not section:
                words.append(_clean(text, code))
        else:
            break
    said, *inline = re.split(r"\s*(?:Possible Cause|Solution|TraceBack)\b[^:]*:\s*", " ".join(filter(None, words)))
    cure = cure or (inline[-1] if inline else "")
    if said in ("", "Inner Error!", "Inner Error") and trace:
        said = f"{said} {trace}".strip()
    return VendorError(code, said.rstrip("."), cure.rstrip("."))


def _continues(text: str, code: str, words: list[str]) -> bool:
    other = _CODED.match(text.lstrip())
    if other:
        return code in other.groups()
    if text[0].isspace() or re.match(rf"{code}\b", text):
        return True
    return len(words) == 1 and words[0].endswith(("Inner Error!", "Inner Error", ":", ","))


def _without_prefix(lines: Iterable[str], prefix: str) -> Iterator[str]:
    """Yield lines without what they share with the beginning of the first, such as ``[rank0]: ``."""
    for line in lines:
        same = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(line, prefix, strict=False)))
        yield line[len(same.rstrip(ascii_letters + digits)) :] if prefix.strip() else line


def _clean(text: str, code: str = "") -> str:
    words = _STAMP.sub(" ", re.sub(rf"(?<=\w)\({_CODE}\):", ":", text))
    if code:
        words = re.sub(rf"^\s*{code}\b", "", words)
    return re.sub(r"\s+", " ", words).strip(" *`|")
