"""The list of all rules, and the function that applies them to a model."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.chip import STOCK_SHAPES
from fastscnn_opt.ascend.lint import boundary, header, operators, resize
from fastscnn_opt.ascend.lint.graph import open_graph
from fastscnn_opt.ascend.whitelists.patchfile import find, shipped_shapes
from fastscnn_opt.errors import TargetError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.text import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    import onnx

    from fastscnn_opt.ascend.chip import ListedShape
    from fastscnn_opt.ascend.lint.base import Finding, Rule

RULES: tuple[Rule, ...] = (
    operators.average_pool,
    operators.unknown_operator,
    operators.needless_pad,
    operators.wide_tensor,
    resize.coordinates,
    resize.rounding,
    resize.cubic,
    resize.inputs,
    resize.side,
    boundary.needless_output,
    boundary.wide_output,
    boundary.unlisted_shape,
    header.operator_sets,
    header.new_opset,
    header.old_opset,
    header.open_dimension,
)
"""In the order of their codes: A1xx operators, A2xx what enters and leaves the device, A3xx the model as a whole."""

_ORDER = ("static-batch", "adaptive-avgpool", "large-avgpool", "drop-outputs", "simplify", "fp16-output")
"""Order of the passes in a cure: shapes are fixed first, and outputs dropped before others are changed."""


def lint(
    model: onnx.ModelProto,
    patched: Collection[ListedShape] = (),
    patches: Mapping[ListedShape, str] = MappingProxyType({}),
) -> list[Finding]:
    """Return the findings of the rules in a model for the Ascend 310, in the order of `RULES` and of the nodes.

    Parameters
    ----------
    model
        A checked model, as `load_model` returns it.
    patched
        What patches have added to the white lists of the installed compiler.
    patches
        What other patches would add, with the name of the patch that a cure may name.
    """
    graph = open_graph(model, STOCK_SHAPES.union(patched), patches)
    return [finding for item in RULES for finding in item.findings(graph)]


def lint_file(model: Path, patches: Sequence[str] = ()) -> list[Finding]:
    """Return what `lint` finds in the ONNX file `model`, for a compiler with the given white-list patches.

    Parameters
    ----------
    model
        An ONNX file.
    patches
        Names of patches, or paths of patch files. A cure may name any other patch that is shipped.

    Raises
    ------
    ModelError
        The model cannot be read.
    PatchError
        There is no such patch.
    """
    patched = [listed for name in patches for listed in find(name).listed]
    return lint(load_model(model), patched, shipped_shapes())


def rule_of(code: str) -> Rule:
    """Return the rule with a code. Raises TargetError for an unknown one."""
    rules = {rule.code: rule for rule in RULES}
    if code.upper() not in rules:
        raise TargetError(f"there is no rule {code!r}", cure=nearest(code.upper(), rules))
    return rules[code.upper()]


def fix_pipeline(findings: Iterable[Finding]) -> str:
    """Return the text of the pipeline that mends everything that a pass can mend in this model."""
    passes = {text for finding in findings for text in finding.problem.passes.split(",") if text}
    return ",".join(sorted(passes, key=lambda text: (_ORDER.index(text.partition("{")[0]), text)))
