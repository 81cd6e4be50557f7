"""The differences of two models, as objects, JSON, text and a table for notebooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastscnn_opt.html import html_table
from fastscnn_opt.text import printable


@dataclass(frozen=True)
class Item:
    """A node, tensor or function that only one of the models has; `what` is its operator or type."""

    name: str
    what: str


@dataclass(frozen=True)
class Difference:
    """One difference of a node, an initializer, an input, an output or the model itself.

    Attributes
    ----------
    name
        The name of the node, tensor or entry in the first model.
    field
        The part that differs: the name of an attribute, ``input 0``, ``operator``, ``shape``, ``type``, ``values`` or
        ``source``.
    before, after
        Its value in each model: a number, a text or a list; None if it has none.
    kind
        For nodes: ``attribute``, ``input``, ``operator`` or ``outputs``.
    what
        For nodes: the operator.
    renamed
        The name in the second model, if it differs.
    max_abs_diff
        For tensors: the largest absolute difference of an element; None if it is not known or not finite.
    """

    name: str
    field: str
    before: Any = None
    after: Any = None
    kind: str = ""
    what: str = ""
    renamed: str | None = None
    max_abs_diff: float | None = None


@dataclass
class Group:
    """The differences of one kind of thing."""

    added: list[Item] = field(default_factory=list)
    removed: list[Item] = field(default_factory=list)
    changed: list[Difference] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)

    def extend(self, other: Group) -> None:
        """Add the differences of `other`."""
        self.added += other.added
        self.removed += other.removed
        self.changed += other.changed


@dataclass
class ModelDiff:
    """The differences of two models; false if there are none.

    Renaming nodes, inner tensors and initializers is no difference, and neither is another order of the nodes in the
    file. Callers use the names of inputs and outputs, so these count.
    """

    inputs: Group = field(default_factory=Group)
    outputs: Group = field(default_factory=Group)
    nodes: Group = field(default_factory=Group)
    initializers: Group = field(default_factory=Group)
    functions: Group = field(default_factory=Group)
    opsets: list[Difference] = field(default_factory=list)
    metadata: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Parts that are written differently and mean the same."""

    def __bool__(self) -> bool:
        return any(group for _, group in self._groups())

    def to_json(self) -> dict[str, Any]:
        """Return the differences as `diff --format json` prints them."""
        return {
            "same": not self,
            "inputs": _group_json(self.inputs, "name", "type"),
            "outputs": _group_json(self.outputs, "name", "type"),
            "nodes": _group_json(self.nodes, "node", "op"),
            "initializers": _group_json(self.initializers, "name", "type"),
            "functions": _group_json(self.functions, "name", "is"),
            "opsets": [_difference_json(entry, "domain", "is") for entry in self.opsets],
            "metadata": [_difference_json(entry, "name", "is") for entry in self.metadata],
            "notes": self.notes,
        }

    def summary(self, limit: int | None = 20) -> str:
        """Return the differences as text, with at most `limit` entries for each mark in a group (None: all)."""
        return "\n".join(line.text for line in self.lines(limit))

    def lines(self, limit: int | None = 20) -> list[Line]:
        """Return the lines of the text, with at most `limit` entries for each mark in a group (None: all)."""
        groups = [line for heading, group in self._groups() if group for line in _group_lines(heading, group, limit)]
        notes = [Line("", f"note: {text}") for text in self.notes]
        return [*(groups or [Line("", "no difference")]), *notes]

    def _groups(self) -> list[tuple[str, Group]]:
        return [
            ("inputs", self.inputs),
            ("outputs", self.outputs),
            ("nodes", self.nodes),
            ("initializers", self.initializers),
            ("functions", self.functions),
            ("operator sets", Group(changed=self.opsets)),
            ("metadata", Group(changed=self.metadata)),
        ]

    def _repr_html_(self) -> str:
        """Show the differences as a table in a notebook."""
        rows = [[line.mark, line.body] for line in self.lines()]
        return html_table([("", False), ("difference", False)], rows)


@dataclass(frozen=True)
class Line:
    """A line of the text: its mark (``+``, ``-``, ``~``, or none for a heading) and the words after it."""

    mark: str
    body: str

    @property
    def text(self) -> str:
        """The whole line."""
        return f"  {self.mark} {self.body}" if self.mark else self.body


_LONGEST = 100
"""Characters of a value that a line shows at most."""


def _group_lines(heading: str, group: Group, limit: int | None) -> list[Line]:
    """Return a heading with counts, then the removed, added and changed entries, changed inputs of nodes last."""
    kinds = (("removed", "-", group.removed), ("added", "+", group.added), ("changed", "~", group.changed))
    counts = ", ".join(f"{len(entries)} {verb}" for verb, _, entries in kinds if entries)
    lines = [Line("", f"{heading}: {counts}")]
    for _, mark, entries in kinds:
        # Every inserted node changes an input of another, so a changed attribute would be lost among these.
        ordered: list[Item | Difference] = sorted(entries, key=_is_changed_input)
        shown = ordered if limit is None else ordered[:limit]
        lines += [Line(mark, _describe(entry)) for entry in shown]
        if len(shown) < len(entries):
            lines.append(Line("", f"    ... and {len(entries) - len(shown)} more; --all shows them"))
    return lines


def _is_changed_input(entry: Item | Difference) -> bool:
    return isinstance(entry, Difference) and entry.kind == "input"


def _describe(entry: Item | Difference) -> str:
    if isinstance(entry, Item):
        return f"{printable(entry.name)} ({printable(entry.what)})"
    name = printable(entry.name) + (f" (now {printable(entry.renamed)})" if entry.renamed else "")
    name += f" ({printable(entry.what)})" if entry.what else ""
    largest = f", largest difference {entry.max_abs_diff:.6g}" if entry.max_abs_diff is not None else ""
    if entry.before == entry.after:
        return f"{name}: {printable(entry.field)}{largest or ' differ'} ({_shown(entry.before)})"
    field_name = "" if entry.field == "value" and not entry.kind else f"{printable(entry.field)} "
    return f"{name}: {field_name}{_shown(entry.before)} -> {_shown(entry.after)}{largest}"


def _shown(value: Any) -> str:
    text = "none" if value is None else printable(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _group_json(group: Group, name: str, what: str) -> dict[str, Any]:
    return {
        "added": [{name: item.name, what: item.what} for item in group.added],
        "removed": [{name: item.name, what: item.what} for item in group.removed],
        "changed": [_difference_json(entry, name, what) for entry in group.changed],
    }


def _difference_json(entry: Difference, name: str, what: str) -> dict[str, Any]:
    row: dict[str, Any] = {name: entry.name, "field": entry.field, "before": entry.before, "after": entry.after}
    if entry.what:
        row |= {what: entry.what, "kind": entry.kind}
    if entry.renamed:
        row["renamed"] = entry.renamed
    if entry.field == "values" or entry.max_abs_diff is not None:
        row["max_abs_diff"] = entry.max_abs_diff
    return row
