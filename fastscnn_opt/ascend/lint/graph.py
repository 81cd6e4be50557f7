"""The model that the rules of the Ascend 310 check, with the white lists of the compiler."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.chip import CANN_VERSION
from fastscnn_opt.linting.graph import Graph
from fastscnn_opt.model.shapes import infer_shapes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import onnx

    from fastscnn_opt.ascend.chip import ListedShape


@dataclass(frozen=True)
class AscendGraph(Graph):
    """A model with inferred shapes, and the white lists that matter for it.

    Attributes
    ----------
    listed
        What is on the white lists of the compiler.
    patches
        What patches would add to them, with the name of the patch.
    cann
        The release of the compiler.
    """

    listed: Collection[ListedShape]
    patches: Mapping[ListedShape, str]
    cann: str = CANN_VERSION


def open_graph(
    model: onnx.ModelProto,
    listed: Collection[ListedShape] = (),
    patches: Mapping[ListedShape, str] = MappingProxyType({}),
    cann: str = CANN_VERSION,
) -> AscendGraph:
    """Infer the shapes of `model`, and return it for the rules to check; see `AscendGraph` for the other parameters."""
    return AscendGraph(infer_shapes(model), listed, patches, cann)
