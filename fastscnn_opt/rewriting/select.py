"""Which nodes an option such as ``only=head`` means: by role or by name, never by position."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

ROLES = ("all", "head", "body")


@dataclass(frozen=True)
class Select:
    """A choice of nodes: ``all``, a role (``head`` or ``body``), or name globs joined by ``|``.

    A node is `head` when it feeds a graph output without another node of the same operator in between: of the Resize
    nodes of a
    segmentation network, the ones that make the full-size logits. The rest is `body`.
    """

    pattern: str
    ALL: ClassVar[Select]

    def nodes(self, graph: gs.Graph, op: str) -> list[gs.Node]:
        """Return the selected nodes of operator `op`, in graph order.

        Raises
        ------
        PassError
            A glob matches the name of no node of that operator; the message lists near names.
        """
        candidates = [node for node in graph.nodes if node.op == op]
        if self.pattern == "all":
            return candidates
        if self.pattern in ROLES:
            heads = _heads(graph, op)
            return [node for node in candidates if (id(node) in heads) == (self.pattern == "head")]
        globs = self.pattern.split("|")
        names = [node.name for node in candidates]
        for glob in globs:
            if not any(fnmatchcase(name, glob) for name in names):
                raise PassError(_no_match(glob, op, names))
        return [node for node in candidates if any(fnmatchcase(node.name, glob) for glob in globs)]

    def __str__(self) -> str:
        return self.pattern


Select.ALL = Select("all")


def _no_match(glob: str, op: str, names: list[str]) -> str:
    if not names:
        return f"{glob!r} selects nothing: the graph has no {op} node; use all, head or body, or drop the option"
    near = get_close_matches(glob, [*names, *ROLES], n=1, cutoff=0.5)
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    hint = f"did you mean {near[0]!r}?" if near else "use all, head, body or a name pattern"
    return f"{glob!r} matches no {op} node; {hint} ({op} nodes: {listed})"


def _heads(graph: gs.Graph, op: str) -> set[int]:
    """Return the ids of the nodes of `op` that are met first on the way back from the graph outputs."""
    heads: set[int] = set()
    seen: set[int] = set()
    pending = [node for output in graph.outputs for node in output.inputs]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.op == op:
            heads.add(id(node))
        else:
            pending.extend(producer for tensor in node.inputs for producer in tensor.inputs)
    return heads
