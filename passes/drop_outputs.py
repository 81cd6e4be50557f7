"""Outputs that nobody reads."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Pass, Runner, Skip, Step, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class DropOutputs(Pass):
    """Remove graph outputs, such as those of auxiliary heads, and everything that only they needed.

    1. The outputs named in ``keep`` stay (``keep=a|b``), in the order of the graph; without it, the first output stays.
    2. Every other output goes, with the nodes and weights that no remaining output needs.
    3. Graph inputs stay, needed or not, so that the model is fed as before.
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
        kept = self._kept(names)
        for output in list(graph.outputs):
            if output.name in kept:
                yield Skip(output, "named by keep" if self.keep else "is the first output")
                continue
            graph.outputs = [other for other in graph.outputs if other is not output]
            before = len(graph.nodes)
            graph.cleanup()
            yield Change(output, f"output dropped, and {before - len(graph.nodes)} nodes that only it needed")

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs that stay, as they were."""
        outputs = before(feeds)
        kept = self._kept(list(outputs))
        return {name: value for name, value in outputs.items() if name in kept}

    def _kept(self, names: list[str]) -> tuple[str, ...]:
        for name in self.keep:
            if name not in names:
                near = get_close_matches(name, names, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise PassError(f"keep={name} is no output of the graph; {hint}(outputs: {', '.join(names)})")
        return self.keep or tuple(names[:1])
