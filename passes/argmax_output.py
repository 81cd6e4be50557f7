"""The pass `argmax-output`: outputs become label maps instead of logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.rewriting.contract import Contract, Feeds, Pass, Runner, Step, Tensor

from ._labels import labels_of, take_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class ArgmaxOutput(Pass):
    """Move the choice of the best class into the graph: logits N, C, H, W become a label map N, H, W of uint8.

    1. Every float output of four dimensions counts as logits, with the classes along the second. The pass appends an
       ArgMax over the classes and a Cast to uint8. The lowest index wins a tie. The output keeps its name and place.
    2. Any other output is left alone and reported. So is an output with a single channel, whose label would always
       be 0.
    3. A Softmax in front stays. It does not change the label, and `simplify` or a runtime may remove it.
    """

    name: ClassVar[str] = "argmax-output"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Append ArgMax and Cast to every output of logits.

        Raises
        ------
        PassError
            The number of classes is unknown, or larger than uint8 can hold.
        """
        yield from take_labels(graph)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the labels of the logits that the graph gave before, together with these logits."""
        return {name: labels_of(value) for name, value in before(feeds).items()}
