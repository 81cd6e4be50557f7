"""The pass `drop-outputs`: removes outputs that are not needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Pass, Runner, Skip, Step, Tensor
from fastscnn_opt.rewriting.graph.nodes import detach, tensors_read
from fastscnn_opt.text import counted, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class DropOutputs(Pass):
    """Remove graph outputs, such as those of auxiliary heads, and everything that only they needed.

    1. The outputs named in ``keep`` stay (``keep=a|b``), in the order of the graph. Without ``keep``, the first output
       stays.
    2. Every other output is removed, with the nodes and weights that no remaining output needs.
    3. Graph inputs stay, needed or not, so that the model takes the same inputs as before.
    """

    name: ClassVar[str] = "drop-outputs"
    contract: ClassVar[Contract] = Contract.EXACT

    keep: tuple[str, ...] = ()

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Remove the outputs and their nodes.

        Raises
        ------
        PassError
            ``keep`` names something that is not an output of the graph.
        """
        names = [output.name for output in graph.outputs]
        kept = self._names_to_keep(names)
        outputs = {id(output) for output in graph.outputs}
        gone: set[int] = set()
        for output in graph.outputs:
            if output.name in kept:
                yield Skip(output, "is named by keep" if self.keep else "is the first output")
                continue
            before = len(gone)
            outputs.discard(id(output))
            _remove_producers(output, outputs, gone)
            yield Change(output, f"output dropped, and {counted(len(gone) - before, 'node')} that only it needed")
        graph.outputs = [output for output in graph.outputs if id(output) in outputs]
        graph.nodes = [node for node in graph.nodes if id(node) not in gone]

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs that stay, as they were."""
        outputs = before(feeds)
        kept = self._names_to_keep(list(outputs))
        return {name: value for name, value in outputs.items() if name in kept}

    def _names_to_keep(self, names: list[str]) -> tuple[str, ...]:
        for name in self.keep:
            if name not in names:
                raise PassError("is not an output of the graph", where=f"keep={name}", cure=nearest(name, names))
        return self.keep or tuple(names[:1])


def _remove_producers(output: gs.Tensor, outputs: set[int], gone: set[int]) -> None:
    """Add the nodes to `gone` that made `output` and that nothing else needs, and detach them from the graph."""
    pending = [output]
    while pending:
        tensor = pending.pop()
        for node in list(tensor.inputs):
            if any(made.outputs or id(made) in outputs for made in node.outputs):
                continue
            gone.add(id(node))
            pending.extend(tensors_read(node))
            detach(node)
