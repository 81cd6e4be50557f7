"""Find the statement that holds a white list in an operator source, by its structure, and rewrite the list alone.

Python's own parser tells where the list begins and ends; the text before and after it keeps its bytes. The source is
never run: the modules that it imports exist on a device host only.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.whitelists.statements import candidates, functions_at_top, wanted_parts
from fastscnn_opt.ascend.whitelists.whitelist import WhiteList, element_spans
from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.ascend.whitelists.patchfile import Edit
    from fastscnn_opt.ascend.whitelists.statements import Candidate

MAX_LISTED = 8
"""Most near misses that an error lists."""


class StatementError(PatchError):
    """No statement, or more than one, fits a description; the message lists the candidates with their lines."""


@dataclass(frozen=True)
class Statement:
    """The one statement that holds the white list of an edit; `line` counts from 1."""

    line: int
    _white_list: WhiteList
    _encoding: str

    @property
    def shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The extents of each element of the list; None where they are not plain integers."""
        return self._white_list.shapes

    def with_shapes(self, shapes: Sequence[tuple[int, ...]]) -> bytes:
        """Return the whole file with `shapes` appended to the list."""
        return self._white_list.with_shapes(shapes).encode(self._encoding)

    def without_shapes(self, shapes: Sequence[tuple[int, ...]]) -> bytes:
        """Return the whole file with every element equal to one of `shapes` taken out of the list."""
        return self._white_list.without_shapes(shapes).encode(self._encoding)


class OperatorSource:
    """One operator source of the vendor, parsed.

    Parameters
    ----------
    raw
        The bytes of the file.
    name
        What errors call the file.

    Raises
    ------
    PatchError
        The bytes are not Python source that can be parsed and written back unchanged.
    """

    def __init__(self, raw: bytes, name: str) -> None:
        self.name = name
        try:
            self._encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
            self._text = raw.decode(self._encoding)
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise PatchError(f"the text cannot be decoded: {error}", where=name) from error
        if self._text.encode(self._encoding) != raw:
            raise PatchError(f"the text would not be written back as it is ({self._encoding})", where=name)
        self._line_starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self._text))]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about what the vendor writes, such as an invalid escape
                self._module = ast.parse(self._text)
        except SyntaxError as error:
            where = f"{name}, line {error.lineno}"
            raise PatchError("not valid Python, so no statement can be found in it", where=where) from error
        except ValueError as error:
            raise PatchError(f"not valid Python: {error}", where=name) from error
        except (RecursionError, MemoryError) as error:
            raise PatchError("its statements are nested too deeply to be read", where=name) from error

    def calls(self, call: str) -> bool:
        """Tell whether the code calls ``call``, such as ``five_2_four.five_2_four``; a comment does not count."""
        module, function = call.split(".")
        for node in ast.walk(self._module):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name)) if (
                    owner,
                    name,
                ) == (module, function):
                    return True
        return False

    def find(self, edit: Edit) -> Statement:
        """Return the one statement that an edit describes.

        Raises
        ------
        StatementError
            None or several fit; the message lists the candidates with their lines.
        """
        try:
            functions = functions_at_top(self._module, edit.function)
            near = list(candidates(functions, edit, self._text_of))
            hits = [
                Statement(candidate.line, white_list, self._encoding)
                for candidate in near
                if (white_list := self._white_list(candidate)) is not None
            ]
            if len(hits) == 1:
                return hits[0]
            raise StatementError(self._refusal(edit, hits, near, in_function=bool(functions)), where=self.name)
        except RecursionError as error:
            raise StatementError("an expression in it is nested too deeply to be read", where=self.name) from error

    def _refusal(self, edit: Edit, hits: Sequence[Statement], near: Sequence[Candidate], *, in_function: bool) -> str:
        wanted = wanted_parts(edit)
        described = f"`{' and '.join(wanted)}`"
        if hits:
            lines = "".join(f"\n  line {hit.line}" for hit in hits)
            return f"{len(hits)} statements in {edit.function} are {described}, and one has to be:{lines}"
        if in_function:
            what = f"no statement in function {edit.function} is {described}"
        else:
            what = f"there is no function {edit.function} at the top level, where {described} should be"
            near = list(candidates([self._module], edit, self._text_of, nested=True))
        if not near:
            return f"{what}, and no other statement in the file is like it"
        near = sorted(near, key=lambda candidate: (-candidate.likeness(wanted), candidate.line))
        lines = "".join(f"\n{candidate.describe(wanted)}" for candidate in near[:MAX_LISTED])
        more = f"\n  and {len(near) - MAX_LISTED} more" if len(near) > MAX_LISTED else ""
        return f"{what}; the nearest are:{lines}{more}"

    def _white_list(self, candidate: Candidate) -> WhiteList | None:
        """Return the list of shapes of a statement that fits, or None where the statement does not fit."""
        node = candidate.shapes
        if node is None:
            return None
        start, end = self._span(node)
        inner = [self._span(element) for element in node.elts]
        kind = "" if inner and inner[0][0] == start else self._text[start]
        spans = element_spans(self._text, start + 1, end - 1, inner) if kind in ("[", "(") else None
        if spans is None:  # a tuple without parentheses of its own
            kind, spans = "", element_spans(self._text, start, end, inner) or ()
        shapes = tuple(_extents(element) for element in node.elts)
        of_tuples = bool(node.elts) and isinstance(node.elts[-1], ast.Tuple)
        return WhiteList(self._text, start + len(kind), end - len(kind), spans, shapes, kind=kind, of_tuples=of_tuples)

    def _text_of(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._text[start:end]

    def _span(self, node: ast.expr) -> tuple[int, int]:
        """Return where a node begins and ends in the text; the parser counts the bytes of a line in UTF-8."""
        last_line, last_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._offset(node.lineno, node.col_offset), self._offset(last_line, last_column)

    def _offset(self, line: int, column: int) -> int:
        start = self._line_starts[line - 1]
        return start + len(self._text[start : start + column].encode()[:column].decode())


def _extents(element: ast.expr) -> tuple[int, ...] | None:
    try:
        value = ast.literal_eval(element)
    except (ValueError, TypeError):
        return None
    plain = isinstance(value, list | tuple) and all(type(extent) is int for extent in value)
    return tuple(value) if plain else None
