"""Read the statements of a function that might hold a white list: ``if`` conditions and assignments, in normal form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from fastscnn_opt.ascend.whitelists.conditions import normal_form
from fastscnn_opt.ascend.whitelists.whitelist import WhiteList

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastscnn_opt.ascend.whitelists.patchfile import Edit


@dataclass(frozen=True)
class Block:
    """One top-level statement as a module of its own, with the text before it and its own text."""

    module: cst.Module
    head: str
    code: str


@dataclass(frozen=True)
class Candidate:
    """A statement that fits a description or comes near it; only one that fits has its white list here."""

    line: int
    parts: tuple[str, ...]
    block: Block
    white_list: WhiteList | None

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


def candidates(block: Block, edit: Edit, *, everywhere: bool = False) -> Iterator[Candidate]:
    """Yield the statements of the function (or of all) that fit an edit or come near it, in the order of the file."""
    wrapper = MetadataWrapper(block.module, unsafe_skip_copy=True)
    walk = _Walk(None if everywhere else edit.function)
    block.module.visit(walk)
    spans = wrapper.resolve(ByteSpanPositionProvider)
    code = block.code.encode()

    def offset(node: cst.CSTNode, *, end: bool = False) -> int:
        span = spans[node]
        return len(code[: span.start + span.length * end].decode())

    wanted = wanted_parts(edit)
    for node in walk.found:
        if isinstance(node, cst.If) is (edit.assigned is not None):
            continue
        parts, display = _reading(block.module, node, edit)
        if not any(part in wanted or _akin(part, edit.list_name) for part in parts):
            continue
        white_list = None
        if display is not None and tuple(sorted(parts)) == wanted:
            elements = tuple((offset(element), offset(element, end=True)) for element in display.elements)
            white_list = WhiteList(display, block.code, offset(display), elements)
        line = (block.head + block.code[: offset(node)]).count("\n") + 1
        yield Candidate(line, parts, block, white_list)


def _akin(part: str, name: str) -> bool:
    """Tell whether a test or an assignment is about the name of the list, or about one that begins like it."""
    return part.startswith((f"{name} in ", f"{name} == ")) or (part.startswith(name) and " = " in part)


def _reading(module: cst.Module, node: cst.CSTNode, edit: Edit) -> tuple[tuple[str, ...], cst.List | cst.Tuple | None]:
    """Return the conjuncts of an ``if``, or the target of an assignment, and the list that an edit means."""
    if isinstance(node, cst.If):
        conjuncts = list(_conjuncts(node.test))
        parts = tuple(_normal_form(module.code_for_node(conjunct)) for conjunct in conjuncts)
        for conjunct, part in zip(conjuncts, parts, strict=True):
            if part == f"{edit.list_name} in [...]" and isinstance(conjunct, cst.Comparison):
                display = conjunct.comparisons[0].comparator
                return parts, display if isinstance(display, cst.List | cst.Tuple) else None
        return parts, None
    target, value = _assignment(node)
    code = module.code_for_node(value) if value is not None else ""
    if isinstance(value, cst.List | cst.Tuple) and _normal_form(f"x in ({code})") == "x in [...]":
        return (f"{target} = [...]",), value
    return (f"{target} = {' '.join(code.split())[:60]}",), None


def _conjuncts(test: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
        yield from _conjuncts(test.left)
        yield from _conjuncts(test.right)
    else:
        yield test


def _normal_form(code: str) -> str:
    try:
        return normal_form(code)
    except SyntaxError:  # syntax of another Python than this one: shown as it is, and never equal to a description
        return " ".join(code.split())


def _assignment(node: cst.CSTNode) -> tuple[str, cst.BaseExpression | None]:
    match node:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
            return name, value
        case cst.AnnAssign(target=cst.Name(value=name), value=value):
            return name, value
    return "", None


class _Walk(cst.CSTVisitor):
    """Collect the ``if`` statements and assignments that stand directly in functions of one name, or in all (None)."""

    def __init__(self, function: str | None) -> None:
        super().__init__()
        self.found: list[cst.CSTNode] = []
        self._function = function
        self._inside: list[str] = []

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:  # noqa: N802 - the name that libcst calls
        self._inside.append(node.name.value)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:  # noqa: N802 - the name that libcst calls
        del original_node
        self._inside.pop()

    def visit_If(self, node: cst.If) -> None:  # noqa: N802 - the name that libcst calls
        self._collect(node)

    def visit_Assign(self, node: cst.Assign) -> None:  # noqa: N802 - the name that libcst calls
        self._collect(node)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:  # noqa: N802 - the name that libcst calls
        self._collect(node)

    def _collect(self, node: cst.CSTNode) -> None:
        if self._function is None or self._inside[-1:] == [self._function]:
            self.found.append(node)
