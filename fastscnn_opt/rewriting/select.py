"""Which nodes an option such as ``only=head`` means: by role or by name, never by position."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.text import closest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs

ROLES = ("all", "head", "body")

_LISTED = 8
"""Names that a message lists."""


@dataclass(frozen=True)
class Select:
    """A choice of nodes: ``all``, a role (``head`` or ``body``), or name globs joined by ``|``.

    A node is `head` when it feeds a graph output without another node of the same operator in between. Of the Resize
    nodes of a segmentation network, these are the ones that make the full-size logits. The rest is `body`.
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
        names = [node.name for node in candidates]
        if not names:
            what = f"{self.pattern!r} selects nothing: the graph has no {op} node"
            raise PassError(what, cure="use all, head or body, or drop the option")
        chosen = matches(self.pattern.split("|"), names, f"{op} node", others=ROLES)
        return [node for node in candidates if node.name in chosen]

    def __str__(self) -> str:
        return self.pattern


Select.ALL = Select("all")


def matches(
    globs: Sequence[str], names: Sequence[str], kind: str, *, option: str = "", others: Sequence[str] = ()
) -> dict[str, str]:
    """Return the `names` that match one of the `globs`, each with the last glob that it matches.

    Raises
    ------
    PassError
        A glob matches no name; the message lists near names. `kind` says what the names are names of, `option` where
        the globs come from, and `others` are words that can stand in the place of a glob.
    """
    chosen: dict[str, str] = {}
    for glob in globs:
        found = [name for name in names if fnmatchcase(name, glob)]
        if not found:
            near = closest(glob, [*names, *others])
            listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
            cure = f"did you mean {near!r}?" if near is not None else f"{kind}s: {listed or 'none'}"
            raise PassError(f"{glob!r} matches no {kind}", where=option, cure=cure)
        chosen |= dict.fromkeys(found, glob)
    return chosen


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
