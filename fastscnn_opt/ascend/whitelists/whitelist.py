"""A white list as libcst nodes: read its shapes, append some in the layout it has, take some out again."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Gap = cst.BaseParenthesizableWhitespace

LINE_WIDTH = 120
"""Columns after which an appended shape goes to a new line, unless the list has longer lines already."""


@dataclass(frozen=True)
class WhiteList:
    """The list of shapes in a statement.

    Parameters
    ----------
    node
        The list, or the tuple, of shapes.
    code
        The text of the statement around it.
    start
        Where the list begins in `code`.
    spans
        Where each element begins and ends in `code`, without its comma.
    """

    node: cst.List | cst.Tuple
    code: str
    start: int
    spans: tuple[tuple[int, int], ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The extents of each element; None where they are not plain integers."""
        return tuple(_extents(self.code[begin:end]) for begin, end in self.spans)

    def extended(self, shapes: Sequence[tuple[int, ...]]) -> cst.List | cst.Tuple:
        """Return the list with `shapes` appended, wrapped and aligned like the elements that are there."""
        old = list(self.node.elements)
        last = old[-1] if old else None
        final_comma = last.comma if last is not None else cst.MaybeSentinel.DEFAULT
        after_last, closing = self._split_closing()
        gaps = self._gaps([_spelling(shape, last) for shape in shapes], after_last)
        if last is not None:
            old[-1] = last.with_changes(comma=_comma(last.comma, gaps[0]))
        commas = [*(cst.Comma(whitespace_after=gap) for gap in gaps[1:]), final_comma]
        new = [
            cst.Element(cst.parse_expression(_spelling(shape, last)), comma)
            for shape, comma in zip(shapes, commas, strict=True)
        ]
        return _with_closing(self.node.with_changes(elements=[*old, *new]), closing)

    def without(self, shapes: Collection[tuple[int, ...]]) -> cst.List | cst.Tuple:
        """Return the list without the elements equal to one of `shapes`; comments stay."""
        kept: list[cst.BaseElement] = []
        closing = _closing(self.node)
        elements = self.node.elements
        for index, (element, shape) in enumerate(zip(elements, self.shapes, strict=True)):
            if shape not in shapes:
                kept.append(element)
            elif kept:
                before = _gap(kept[-1])
                if index == len(elements) - 1:
                    closing = _joined(before, closing) if _has_comment(before) else closing
                    kept[-1] = kept[-1].with_changes(comma=element.comma)
                else:
                    kept[-1] = kept[-1].with_changes(comma=_comma(kept[-1].comma, _joined(before, _gap(element))))
        return _with_closing(self.node.with_changes(elements=kept), closing)

    def _split_closing(self) -> tuple[Gap | None, Gap]:
        """Part the white space before the bracket, so that a comment behind the last element stays with it."""
        closing = _closing(self.node)
        commented = isinstance(closing, cst.ParenthesizedWhitespace) and closing.first_line.comment is not None
        if not commented or not self.spans:
            return None, closing
        return closing.with_changes(empty_lines=()), closing.with_changes(first_line=cst.TrailingWhitespace())

    def _gaps(self, texts: Sequence[str], after_last: Gap | None) -> list[Gap]:
        """Choose what stands before each new element: a space, or a line break and the indentation of the list."""
        line_break = cst.ParenthesizedWhitespace(last_line=cst.SimpleWhitespace(self._indent()), indent=False)
        first_end = self.spans[-1][1] if self.spans else self.start + 1
        column = first_end - self._line_start(first_end)
        tail = "" if after_last is not None else self.code[first_end:].splitlines()[0]
        gaps: list[Gap] = []
        for index, text in enumerate(texts):
            room_after = len(tail) if index == len(texts) - 1 else 1
            fits = not self._one_per_line and column + 2 + len(text) + room_after <= self._width()
            if index == 0 and after_last is not None:
                gap: Gap = after_last.with_changes(indent=False, last_line=line_break.last_line)
            elif fits or not self._can_wrap or not (self.spans or gaps):
                gap = cst.SimpleWhitespace(" ")
            else:
                gap = line_break
            column = (column + 2 if isinstance(gap, cst.SimpleWhitespace) else len(self._indent())) + len(text)
            gaps.append(gap)
        return gaps

    @property
    def _can_wrap(self) -> bool:
        """A tuple without parentheses has to stay on its line."""
        return isinstance(self.node, cst.List) or bool(self.node.lpar)

    @property
    def _one_per_line(self) -> bool:
        return len(self.spans) > 1 and all(self._leads_its_line(begin) for begin, _ in self.spans[1:])

    def _leads_its_line(self, offset: int) -> bool:
        return not self.code[self._line_start(offset) : offset].strip()

    def _line_start(self, offset: int) -> int:
        return self.code.rfind("\n", 0, offset) + 1

    def _indent(self) -> str:
        """Return the indentation of the last element that leads its line, or else the column of the first one."""
        leading = [begin for begin, _ in self.spans if self._leads_its_line(begin)]
        at = leading[-1] if leading else self.spans[0][0] if self.spans else self.start + 1
        before = self.code[self._line_start(at) : at]
        return "".join("\t" if character == "\t" else " " for character in before)

    def _width(self) -> int:
        end = self.spans[-1][1] if self.spans else self.start
        return max(LINE_WIDTH, *(len(line) for line in self.code[self._line_start(self.start) : end].splitlines()))


def _extents(text: str) -> tuple[int, ...] | None:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    plain = isinstance(value, list | tuple) and all(type(extent) is int for extent in value)
    return tuple(value) if plain else None


def _spelling(shape: tuple[int, ...], like: cst.BaseElement | None) -> str:
    """Write a shape as a list or as a tuple, whichever `like` is: the two never compare equal."""
    return str(shape) if like is not None and isinstance(like.value, cst.Tuple) else str(list(shape))


def _closing(node: cst.List | cst.Tuple) -> Gap:
    if isinstance(node, cst.List):
        return node.rbracket.whitespace_before
    return node.rpar[0].whitespace_before if node.rpar else cst.SimpleWhitespace("")


def _with_closing(node: cst.List | cst.Tuple, gap: Gap) -> cst.List | cst.Tuple:
    if isinstance(node, cst.List):
        return node.with_changes(rbracket=node.rbracket.with_changes(whitespace_before=gap))
    if node.rpar:
        return node.with_changes(rpar=(node.rpar[0].with_changes(whitespace_before=gap), *node.rpar[1:]))
    return node


def _comma(comma: cst.Comma | cst.MaybeSentinel, gap: Gap) -> cst.Comma:
    return comma.with_changes(whitespace_after=gap) if isinstance(comma, cst.Comma) else cst.Comma(whitespace_after=gap)


def _gap(element: cst.BaseElement) -> Gap:
    return element.comma.whitespace_after if isinstance(element.comma, cst.Comma) else cst.SimpleWhitespace("")


def _has_comment(gap: Gap) -> bool:
    return isinstance(gap, cst.ParenthesizedWhitespace) and (
        gap.first_line.comment is not None or any(line.comment is not None for line in gap.empty_lines)
    )


def _joined(first: Gap, second: Gap) -> Gap:
    """Make one gap of the two around a removed element: every comment stays, and the line break if there was one."""
    if not isinstance(first, cst.ParenthesizedWhitespace):
        return second if isinstance(second, cst.ParenthesizedWhitespace) else first
    if not isinstance(second, cst.ParenthesizedWhitespace):
        return first
    lines = list(first.empty_lines)
    if second.first_line.comment is not None:
        kept = second.first_line
        lines.append(
            cst.EmptyLine(indent=first.indent, whitespace=first.last_line, comment=kept.comment, newline=kept.newline)
        )
    return first.with_changes(
        empty_lines=[*lines, *second.empty_lines], indent=second.indent, last_line=second.last_line
    )
