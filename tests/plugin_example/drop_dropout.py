from dataclasses import dataclass
from typing import ClassVar

from fastscnn_opt import Change, Contract, Pass, Skip


@dataclass(frozen=True)
class DropDropout(Pass):
    """Remove Dropout, which does nothing at inference."""

    name: ClassVar[str] = "drop-dropout"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph):
        for node in graph.nodes:
            if node.op != "Dropout":
                continue
            if any(output in graph.outputs for output in node.outputs):
                yield Skip(node, "makes an output of the graph")
                continue
            for reader in list(node.outputs[0].outputs):
                reader.inputs = [node.inputs[0] if tensor is node.outputs[0] else tensor for tensor in reader.inputs]
            yield Change(node, "removed")
