"""The pass `fp16-output`: outputs leave the graph in half precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Pass, Runner, Skip, Step, Tensor

from ._fp16.magnitudes import LARGEST, largest_magnitude, misfit
from ._graph import append_cast, detach_output, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class Fp16Output(Pass):
    """Give the graph float16 outputs, which halves the bytes that leave the device.

    1. An output of type float32 or float64 becomes float16 by a Cast at its end. It keeps its name, shape and place.
    2. An output that is float16 already, or not a float type, is left alone and reported.
    3. The network inside keeps its types. Values beyond 65504 would become infinite, so where verification finds such
       values in an output, that is an error.
    """

    name: ClassVar[str] = "fp16-output"
    contract: ClassVar[Contract] = Contract.ROUNDING

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Put a Cast to float16 in front of every wider float output."""
        for output in graph.outputs:
            if output.dtype == np.float16:
                yield Skip(output, "is float16 already")
            elif output.dtype not in (np.float32, np.float64):
                yield Skip(output, f"is {type_name(output)}, not float32 or float64")
            elif not output.inputs:
                yield Skip(output, "is no result of a node")
            else:
                before = type_name(output)
                inner = detach_output(graph, output, before)
                append_cast(graph, inner, np.float16, f"{output.name}_to_float16", output)
                output.dtype = np.dtype(np.float16)
                yield Change(output, f"{before} -> float16")

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Run the old graph, and refuse values that float16 does not hold. Raises PassError."""
        outputs = before(feeds)
        made = {name for node in before.model.graph.node for name in node.output}
        for name, value in outputs.items():
            if name in made and isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64):
                reached = largest_magnitude(value)
                if reached > LARGEST:
                    raise PassError(
                        f"output {name!r} {misfit(reached, LARGEST)}", cure="leave it as it is, without fp16-output"
                    )
        return outputs
