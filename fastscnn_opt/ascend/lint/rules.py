"""The rules of the Ascend 310."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.chip import CANN_VERSION, STOCK_SHAPES
from fastscnn_opt.ascend.lint import boundary, header, operators, resize
from fastscnn_opt.ascend.lint.graph import open_graph
from fastscnn_opt.ascend.whitelists.patchfile import find, shipped_shapes
from fastscnn_opt.linting.rules import RuleSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.ascend.lint.graph import AscendGraph
    from fastscnn_opt.linting.rules import Rule

RULES: tuple[Rule[AscendGraph], ...] = (
    operators.average_pool,
    operators.unknown_operator,
    operators.needless_pad,
    operators.wide_tensor,
    operators.unaligned_concat,
    resize.coordinates,
    resize.rounding,
    resize.cubic,
    resize.inputs,
    resize.side,
    boundary.needless_output,
    boundary.wide_output,
    boundary.unlisted_shape,
    boundary.other_release,
    header.operator_sets,
    header.new_opset,
    header.old_opset,
    header.open_dimension,
)
"""In the order of their codes: A1xx operators, A2xx what enters and leaves the device, A3xx the model as a whole."""

REFUSED: tuple[Rule[AscendGraph], ...] = (
    operators.unknown_operator,
    resize.cubic,
    resize.inputs,
    header.operator_sets,
    header.new_opset,
)
"""Those that find what atc does not compile, beside open dimensions, which an option of atc can fix."""

_ORDER = (
    "static-batch", "adaptive-avgpool", "large-avgpool", "drop-outputs", "simplify", "fold-batchnorm",
    "conv-before-concat", "argmax-output", "fp16-output",
)  # fmt: skip
"""Order of the passes in a cure: shapes are fixed first, and outputs dropped before others are changed."""


def rules_with(patches: Sequence[str] = (), cann: str = CANN_VERSION) -> RuleSet:
    """Return the rules of the Ascend 310 for a compiler of the release `cann` with white-list patches.

    `patches` are names of patches, or paths of patch files. A cure may name any other patch that is shipped. Raises
    PatchError if there is no such patch.
    """
    listed = STOCK_SHAPES.union(*(find(name).listed for name in patches))
    return RuleSet(RULES, _ORDER, partial(open_graph, listed=listed, patches=shipped_shapes(), cann=cann))
