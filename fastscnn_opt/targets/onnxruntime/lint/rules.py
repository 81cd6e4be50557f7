"""The rules for CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.linting.graph import open_graph
from fastscnn_opt.linting.rules import RuleSet
from fastscnn_opt.targets.onnxruntime.lint import boundary, operators

if TYPE_CHECKING:
    from fastscnn_opt.linting.graph import Graph
    from fastscnn_opt.linting.rules import Rule

_RULES: tuple[Rule[Graph], ...] = (
    operators.adaptive_pooling,
    operators.refused,
    operators.full_size_argmax,
    operators.late_convolution,
    operators.sliding_pool,
    operators.batch_normalisation,
    operators.padded_first_convolution,
    operators.wide_tensor,
    operators.half_precision,
    boundary.needless_output,
    boundary.full_size_logits,
    boundary.small_logits,
    boundary.old_opset,
    boundary.open_dimension,
)
"""In the order of their codes: C1xx operators, C2xx outputs, C3xx the model as a whole."""

_ORDER = (
    "adaptive-avgpool", "drop-outputs", "large-avgpool", "simplify", "conv-before-concat", "conv-before-resize",
    "fast-argmax",
)  # fmt: skip
"""Order of the passes in a cure: outputs are dropped before others are changed."""

RULE_SET: RuleSet = RuleSet(_RULES, _ORDER, open_graph)
