"""The pass `constant-inputs`: weights that are also inputs become constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class ConstantInputs(Pass):
    """Turn inputs that have a default value into constants, so that other passes can work on them.

    1. Some exporters (``keep_initializers_as_inputs``) list every weight as an input, too. A caller may then feed
       another value, so that no pass folds, quantises or stores such a weight in another type.
    2. Every such input goes, and its default value becomes a constant. Inputs that have to be fed stay.
    3. One that is an output itself stays.
    """

    name: ClassVar[str] = "constant-inputs"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Turn every input with a default value into a constant."""
        for name, (variable, constant) in list(graph.defaults.items()):
            if any(output is variable for output in graph.outputs):
                yield Skip(variable, "is an output itself")
                continue
            del graph.defaults[name]
            for reader in list(variable.outputs):
                for place, tensor in enumerate(reader.inputs):
                    if tensor is variable:
                        reader.inputs[place] = constant
            yield Change(variable, "is a constant and no input any more")
