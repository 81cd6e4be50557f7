"""The statements of a function that might hold a white list: ``if`` conditions and assignments, in normal form."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.whitelists.conditions import holds_shapes, normal_form_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastscnn_opt.ascend.whitelists.patchfile import Edit

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Candidate:
    """A statement that fits a description or comes near it; the list of shapes is set only if it fits."""

    line: int
    parts: tuple[str, ...]
    shapes: ast.List | ast.Tuple | None

    def likeness(self, wanted: Sequence[str]) -> int:
        """Return how many of the wanted parts are there."""
        return sum(part in wanted for part in self.parts)

    def describe(self, wanted: Sequence[str]) -> str:
        """Return the line of an error message that says where this is and how it differs."""
        extra = [part for part in self.parts if part not in wanted]
        missing = [part for part in wanted if part not in self.parts]
        notes = [f"has `{' and '.join(extra)}`"] * bool(extra) + [f"lacks `{' and '.join(missing)}`"] * bool(missing)
        return f"  line {self.line}: {'; '.join(notes)}"


def wanted_parts(edit: Edit) -> tuple[str, ...]:
    """Return the parts, in normal form and sorted, that the statement of an edit has: no more and no fewer."""
    return edit.condition or (f"{edit.assigned} = [...]",)


def functions_at_top(module: ast.Module, name: str) -> list[ast.stmt]:
    """Return the functions of one name at the top level, those under a condition, in a `try` or in a class included."""
    found: list[ast.stmt] = []
    for statement in module.body:
        inner = [statement] if isinstance(statement, _FUNCTIONS) else ast.walk(statement)
        found += [node for node in inner if isinstance(node, _FUNCTIONS) and node.name == name]
    return found


def candidates(
    bodies: Sequence[ast.AST], edit: Edit, text_of: Callable[[ast.expr], str], *, nested: bool = False
) -> Iterator[Candidate]:
    """Yield the statements that fit an edit or come near it, in the order of the file.

    They stand in `bodies`, and in the functions inside those where `nested` is set; `text_of` returns the text of a
    node.
    """
    wanted = wanted_parts(edit)
    for body in bodies:
        for statement in _statements(body, nested=nested):
            if isinstance(statement, ast.If) is (edit.assigned is not None):
                continue
            parts, shapes = _read(statement, edit, text_of)
            if any(part in wanted or _is_akin(part, edit.list_name) for part in parts):
                yield Candidate(statement.lineno, parts, shapes if tuple(sorted(parts)) == wanted else None)


def _statements(body: ast.AST, *, nested: bool) -> Iterator[ast.If | ast.Assign | ast.AnnAssign]:
    """Yield ``if`` statements and assignments in order. A chain of `elif` is walked without a call for each of them."""
    waiting = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If | ast.Assign | ast.AnnAssign):
            yield node
        if node is body or nested or not isinstance(node, _FUNCTIONS):
            children = (ast.stmt, ast.excepthandler, ast.match_case)
            waiting += reversed([child for child in ast.iter_child_nodes(node) if isinstance(child, children)])


def _is_akin(part: str, name: str) -> bool:
    """Tell whether a test or an assignment is about the name of the list, or about one that begins like it."""
    return part.startswith((f"{name} in ", f"{name} == ")) or (part.startswith(name) and " = " in part)


def _read(
    statement: ast.If | ast.Assign | ast.AnnAssign, edit: Edit, text_of: Callable[[ast.expr], str]
) -> tuple[tuple[str, ...], ast.List | ast.Tuple | None]:
    """Return the conjuncts of an ``if``, or the target of an assignment, and the list that an edit means."""
    if isinstance(statement, ast.If):
        conjuncts = list(_conjuncts(statement.test))
        parts = tuple(normal_form_of(conjunct) for conjunct in conjuncts)
        for conjunct, part in zip(conjuncts, parts, strict=True):
            if part == f"{edit.list_name} in [...]" and isinstance(conjunct, ast.Compare):
                shapes = conjunct.comparators[0]
                return parts, shapes if isinstance(shapes, ast.List | ast.Tuple) else None
        return parts, None
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            if isinstance(value, ast.List | ast.Tuple) and holds_shapes(value):
                return (f"{name} = [...]",), value
            return (f"{name} = {' '.join(text_of(value).split())[:60] if value is not None else ''}",), None
    return ("",), None


def _conjuncts(test: ast.expr) -> Iterator[ast.expr]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for value in test.values:
            yield from _conjuncts(value)
    else:
        yield test
