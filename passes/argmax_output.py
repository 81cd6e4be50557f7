"""The pass `argmax-output`: outputs become label maps instead of logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.measuring.layout import Layout
from fastscnn_opt.rewriting.contract import Contract, Feeds, Pass, Runner, Step, Tensor

from ._labels import labels_of_outputs, take_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class ArgmaxOutput(Pass):
    """Move the choice of the best class into the graph: logits N, C, H, W become a label map N, H, W of uint8.

    1. Every float output of four dimensions counts as logits. The pass appends an ArgMax over the classes and a Cast to
       uint8, or to uint16 if there are more than 256 classes. The lowest index wins a tie. The output keeps its name
       and place.
    2. The classes lie along the second axis (``layout=nchw``) or the last one (``layout=nhwc``). Without ``layout`` the
       second is taken. If the two axes after the first have the proportions of the input image at least as well as the
       last two, the pass refuses to guess.
    3. An output of int64 or int32 that an ArgMax makes is a label map already, as in the exports of mmdeploy, PaddleSeg
       and BiSeNet. It becomes uint8 or uint16, too, and keeps its shape.
    4. Any other output is left alone and reported. So is an output with a single channel, whose label would always
       be 0.
    5. A Softmax in front stays. It does not change the label, and `simplify` or a runtime may remove it.
    """

    name: ClassVar[str] = "argmax-output"
    contract: ClassVar[Contract] = Contract.EXACT

    layout: Layout | None = None

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Append ArgMax and Cast to every output of logits.

        Raises
        ------
        PassError
            The number of classes is unknown, or larger than uint16 can hold, or the classes may lie along either axis.
        """
        yield from take_labels(graph, self.layout)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the labels of the logits that the graph gave before, together with these logits."""
        return labels_of_outputs(before, feeds, self.layout or Layout.NCHW)
