"""The text of a white list: append shapes in the layout that it has, and take some out again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LINE_WIDTH = 120
"""Columns after which an appended shape goes to a new line, unless the list has longer lines already."""

_COMMENT = r"#[^\r\n]*"
_TOKEN = re.compile(rf"{_COMMENT}|\\\r?\n|\\\r|\r\n|\r|\n|[(),]")
"""What can stand between two elements besides blanks: comments, line breaks, parentheses and a comma."""


@dataclass(frozen=True)
class WhiteList:
    """A list of shapes in the text of a file.

    Parameters
    ----------
    text
        The text of the whole file.
    start, end
        Where the content begins and ends in it: behind the opening bracket and before the closing one.
    spans
        Where each element begins and ends, without its comma.
    shapes
        The extents of each element; None where they are not plain integers.
    kind
        How it is written: ``[`` is a list, ``(`` a tuple, and the empty text a tuple without parentheses.
    of_tuples
        Whether the last element is a tuple. A new element is then a tuple, too: tuples and lists never compare equal.
    """

    text: str
    start: int
    end: int
    spans: tuple[tuple[int, int], ...]
    shapes: tuple[tuple[int, ...] | None, ...]
    kind: str
    of_tuples: bool

    def with_shapes(self, shapes: Sequence[tuple[int, ...]]) -> str:
        """Return the text of the file with `shapes` appended, wrapped and aligned like the elements that are there."""
        new = [str(shape if self.of_tuples else list(shape)) for shape in shapes]
        if not self.spans:
            comma = "," if self.kind == "(" and len(new) == 1 else ""  # without it there would be no tuple
            return self.text[: self.end] + _joined(new, self._gaps(new, self.end)) + comma + self.text[self.end :]
        last = self.spans[-1][1]
        behind = re.match(rf"([^\S\r\n]*,)?[^\S\r\n]*{_COMMENT}", self.text[last : self.end])
        if not behind:
            added = "".join(f",{gap}{text}" for gap, text in zip(self._gaps(new, last), new, strict=True))
            return self.text[:last] + added + self.text[last:]
        # The comment behind the last element stays with it, and the first new one goes to the next line.
        rest = last + behind.end()
        added = _joined(new, self._gaps(new, rest, on_new_line=True)) + ("," if behind[1] else "")
        comma = "" if behind[1] else ","
        return f"{self.text[:last]}{comma}{self.text[last:rest]}{self._line_break}{added}{self.text[rest:]}"

    def without_shapes(self, shapes: Collection[tuple[int, ...]]) -> str:
        """Return the text of the file without the elements equal to one of `shapes`; comments stay."""
        if not any(shape in shapes for shape in self.shapes):
            return self.text
        ends = [*(begin for begin, _ in self.spans[1:]), self.end]
        opening = self.text[self.start : self.spans[0][0]]
        kept: list[tuple[str, str, str]] = []  # an element, its comma with what stands before it, and the gap behind it
        comma = ""
        for (begin, stop), shape, until in zip(self.spans, self.shapes, ends, strict=True):
            comma, gap = _split_at_comma(self.text[stop:until])
            is_last = until == self.end
            if shape not in shapes:
                kept.append((self.text[begin:stop], comma, gap))
            elif kept:
                element, old_comma, before = kept[-1]
                joined = _joined_gaps(before, gap) if not is_last or "#" in before else gap
                kept[-1] = (element, comma if is_last else old_comma, joined)
            else:
                opening = opening + gap if is_last else _joined_gaps(opening, gap) if "#" in gap else opening
        if self.kind != "[" and len(kept) == 1 and not kept[0][1]:
            kept[0] = (kept[0][0], ",", kept[0][2])  # without a comma it would be no tuple
        content = opening + "".join(part for element in kept for part in element)
        if not self.kind and not kept:
            content = "()"
        return self.text[: self.start] + content + self.text[self.end :]

    def _gaps(self, new: Sequence[str], end: int, *, on_new_line: bool = False) -> list[str]:
        """Choose what stands before each new element behind `end`: a blank, or a line break and the indentation."""
        column = len(self._indent) if on_new_line else end - self._line_start(end)
        closing = "" if on_new_line else re.split(r"[\r\n]", self.text[end:], maxsplit=1)[0]
        gaps: list[str] = []
        for index, text in enumerate(new):
            if index == 0 and (on_new_line or not self.spans):
                column += len(text)
                gaps.append("")
                continue
            room = len(closing) if index == len(new) - 1 else 1
            fits = not self._one_per_line and column + 2 + len(text) + room <= self._width
            gaps.append(" " if fits or not self.kind else self._line_break)
            column = (column + 2 if gaps[-1] == " " else len(self._indent)) + len(text)
        return gaps

    @property
    def _line_break(self) -> str:
        newline = re.search(r"\r\n|\r|\n", self.text)
        return (newline[0] if newline else "\n") + self._indent

    @property
    def _one_per_line(self) -> bool:
        return len(self.spans) > 1 and all(self._leads_its_line(begin) for begin, _ in self.spans[1:])

    def _leads_its_line(self, offset: int) -> bool:
        return not self.text[self._line_start(offset) : offset].strip()

    def _line_start(self, offset: int) -> int:
        return max(self.text.rfind("\n", 0, offset), self.text.rfind("\r", 0, offset)) + 1

    @property
    def _indent(self) -> str:
        """The indentation of the last element that leads its line, or else blanks up to the column of the first one."""
        leading = [begin for begin, _ in self.spans if self._leads_its_line(begin)]
        at = leading[-1] if leading else self.spans[0][0] if self.spans else self.start
        before = self.text[self._line_start(at) : at]
        return "".join("\t" if character == "\t" else " " for character in before)

    @property
    def _width(self) -> int:
        end = self.spans[-1][1] if self.spans else self.start
        return max(LINE_WIDTH, *map(len, re.split(r"[\r\n]+", self.text[self._line_start(self.start) : end])))


def element_spans(
    text: str, start: int, end: int, spans: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...] | None:
    """Return the spans of elements with the parentheses around them; None where those do not match between the two."""
    begins, stops = ([span[side] for span in spans] for side in (0, 1))
    depths = [0] * len(spans)
    for index, (begin, stop) in enumerate(zip([start, *stops], [*begins, end], strict=True)):
        for token in _TOKEN.finditer(text, begin, stop):
            if token[0] == "(":
                begins[index] = min(begins[index], token.start())
                depths[index] += 1
            elif token[0] == ")":
                stops[index - 1] = token.end()
                depths[index - 1] -= 1
    return None if any(depths) else tuple(zip(begins, stops, strict=True))


def _joined(elements: Sequence[str], gaps: Sequence[str]) -> str:
    return ",".join(gap + element for gap, element in zip(gaps, elements, strict=True))


def _split_at_comma(gap: str) -> tuple[str, str]:
    """Split the text behind an element into the part up to its comma, and the remaining part."""
    comma = next((token for token in _TOKEN.finditer(gap) if token[0] == ","), None)
    return (gap[: comma.end()], gap[comma.end() :]) if comma else ("", gap)


def _joined_gaps(first: str, second: str) -> str:
    """Make one gap of the two around a removed element: every comment stays, and the line break if there was one."""
    if _after_break(second) is None:
        return first
    if _after_break(first) is None:
        return second
    cut = _after_break(second)
    last_line = max(first.rfind("\n"), first.rfind("\r")) + 1
    comment = first[last_line:] + second[:cut].lstrip() if "#" in second[:cut] else ""
    return first[:last_line] + comment + second[cut:]


def _after_break(gap: str) -> int | None:
    """Return where the second line of a gap begins, or None where it has one only; a backslash joins lines."""
    return next((token.end() for token in _TOKEN.finditer(gap) if token[0] in ("\r\n", "\r", "\n")), None)
