"""Find the statement that holds a white list in a vendor source, by its structure, and rewrite the list alone.

libcst parses the whole file, gives the positions and writes the edited statement; the text before and after that
statement is kept as it is. Only the top-level statement that defines the function is walked, because a walk over all of
a 10,000-line file takes seconds.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst
from libcst import matchers

from fastscnn_opt.ascend.whitelists.statements import Block, candidates, wanted_parts
from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastscnn_opt.ascend.whitelists.patchfile import Edit
    from fastscnn_opt.ascend.whitelists.statements import Candidate
    from fastscnn_opt.ascend.whitelists.whitelist import WhiteList

MAX_LISTED = 8
"""Most near misses that an error lists."""


class StatementError(PatchError):
    """No statement, or more than one, fits a description; the message lists the candidates with their lines."""


@dataclass(frozen=True)
class Statement:
    """The one statement that holds the white list of an edit; `line` counts from 1."""

    line: int
    _source: Source
    _block: Block
    _white_list: WhiteList

    @property
    def shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The extents of each element of the list; None where they are not plain integers."""
        return self._white_list.shapes

    def with_shapes(self, shapes: Sequence[tuple[int, ...]]) -> bytes:
        """Return the whole file with `shapes` appended to the list."""
        return self._replaced(self._white_list.extended(shapes))

    def without_shapes(self, shapes: Sequence[tuple[int, ...]]) -> bytes:
        """Return the whole file with every element equal to one of `shapes` taken out of the list."""
        return self._replaced(self._white_list.without(shapes))

    def _replaced(self, node: cst.List | cst.Tuple) -> bytes:
        with _shallow(self._source.name):
            module = cst.ensure_type(self._block.module.deep_replace(self._white_list.node, node), cst.Module)
            return self._source.with_block(self._block, module.code)


class Source:
    """One vendor source file, parsed.

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
        _refuse_depth(raw, name)
        try:
            self._module = cst.parse_module(raw)
            self._text = raw.decode(self._module.encoding)
        except cst.ParserSyntaxError as error:
            raise PatchError(
                f"{name}, line {error.raw_line}: not valid Python, so no statement can be found in it"
            ) from error
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise PatchError(f"the text cannot be decoded: {error}", where=name) from error
        if self._text.encode(self._module.encoding) != raw:
            raise PatchError(f"the text would not be written back as it is ({self._module.encoding})", where=name)

    def calls(self, call: str) -> bool:
        """Tell whether the code calls ``call``, such as ``five_2_four.five_2_four``; a comment does not count."""
        module, function = call.split(".")
        owner = matchers.Name(module) | matchers.Attribute(attr=matchers.Name(module))
        pattern = matchers.Call(func=matchers.Attribute(value=owner, attr=matchers.Name(function)))
        # The text is asked first, because walking the tree is slow; a call cannot be there without both names.
        return module in self._text and bool(matchers.findall(self._module, pattern))

    def find(self, edit: Edit) -> Statement:
        """Return the one statement that an edit describes.

        Raises
        ------
        StatementError
            None or several fit; the message lists the candidates with their lines.
        """
        with _shallow(self.name):
            return self._only_one(edit)

    def _only_one(self, edit: Edit) -> Statement:
        blocks = list(self._blocks(edit.function))
        near = [candidate for block in blocks for candidate in candidates(block, edit)]
        hits = [
            Statement(candidate.line, self, candidate.block, candidate.white_list)
            for candidate in near
            if candidate.white_list is not None
        ]
        if len(hits) == 1:
            return hits[0]
        raise StatementError(self._refusal(edit, hits, near, in_function=bool(blocks)))

    def with_block(self, block: Block, code: str) -> bytes:
        """Return the file with the text of one top-level statement replaced; all the rest keeps its bytes."""
        text = block.head + code + self._text[len(block.head) + len(block.code) :]
        return text.encode(self._module.encoding)

    def _blocks(self, function: str) -> Iterator[Block]:
        """Yield the top-level statements that define `function`, each as a module of its own."""
        body = self._module.body
        for index, statement in enumerate(body):
            if not _defines(statement, function):
                continue
            head = self._head(index)
            module = self._module.with_changes(
                body=(statement,),
                header=(),
                footer=(),
                has_trailing_newline=self._module.has_trailing_newline or index < len(body) - 1,
            )
            if not (self._text.startswith(head) and self._text.startswith(module.code, len(head))):
                raise PatchError("the text would not be written back as it is", where=self.name)
            yield Block(module, head, module.code)

    def _head(self, index: int) -> str:
        """Return the text before a top-level statement."""
        before = self._module.with_changes(body=self._module.body[:index], footer=(), has_trailing_newline=True)
        return before.code if before.body or before.header else ""

    def _refusal(self, edit: Edit, hits: Sequence[Statement], near: Sequence[Candidate], *, in_function: bool) -> str:
        wanted = wanted_parts(edit)
        described = f"`{' and '.join(wanted)}`"
        if hits:
            lines = "".join(f"\n  line {hit.line}" for hit in hits)
            return f"{self.name}: {len(hits)} statements in {edit.function} are {described}, and one has to be:{lines}"
        if in_function:
            what = f"no statement in function {edit.function} is {described}"
        else:
            what = f"there is no function {edit.function} at the top level, where {described} should be"
            near = list(candidates(Block(self._module, "", self._text), edit, everywhere=True))
        if not near:
            return f"{self.name}: {what}, and no other statement in the file is like it"
        near = sorted(near, key=lambda candidate: (-candidate.likeness(wanted), candidate.line))
        lines = "".join(f"\n{candidate.describe(wanted)}" for candidate in near[:MAX_LISTED])
        more = f"\n  and {len(near) - MAX_LISTED} more" if len(near) > MAX_LISTED else ""
        return f"{self.name}: {what}; the nearest are:{lines}{more}"


def _refuse_depth(raw: bytes, name: str) -> None:
    """Let Python's own parser read the source first: where it is nested too deeply, that of libcst ends the process."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise PatchError(f"the text cannot be decoded: {error}", where=name) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what the vendor writes, such as an invalid escape
            ast.parse(text)
    except SyntaxError as error:
        raise PatchError(
            f"{name}, line {error.lineno}: not valid Python, so no statement can be found in it"
        ) from error
    except ValueError as error:
        raise PatchError(f"not valid Python: {error}", where=name) from error
    except (RecursionError, MemoryError) as error:
        raise PatchError("its expressions are nested too deeply to be read", where=name) from error


@contextmanager
def _shallow(name: str) -> Iterator[None]:
    """Turn the end of the interpreter's stack into a refusal: each `elif` is one level deeper in the tree."""
    try:
        yield
    except RecursionError as error:
        raise StatementError(f"{name}: a chain of `elif` in it is too long to be walked") from error


def _defines(statement: cst.CSTNode, function: str) -> bool:
    if isinstance(statement, cst.SimpleStatementLine):
        return False
    if isinstance(statement, cst.FunctionDef):
        return statement.name.value == function
    return bool(matchers.findall(statement, matchers.FunctionDef(name=matchers.Name(function))))
