"""All rules, and what they say about a model."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.lint import boundary, header, operators, resize
from fastscnn_opt.ascend.lint.graph import WhiteLists, open_graph
from fastscnn_opt.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx

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

STOCK = WhiteLists(
    "CANN 5.0.2",
    to_nchw=frozenset([(2560, 512, 4, 26), (2560, 512, 1, 26), (2560, 256, 8, 25), (16, 240, 7, 7), (16, 120, 14, 14)]),
    from_nchw=frozenset([(16, 240, 7, 7), (16, 120, 14, 14)]),
)
"""What ``five_2_four.py`` and ``four_2_five.py`` of CANN 5.0.2 list as they are installed."""

_ORDER = ("static-batch", "adaptive-avgpool", "large-avgpool", "drop-outputs", "simplify", "fp16-output")
"""Order of the passes in a cure: shapes are fixed first, and what is dropped needs no further work."""


def lint(
    model: onnx.ModelProto, patches: Iterable[WhiteLists] = (), shipped: Iterable[WhiteLists] = ()
) -> list[Finding]:
    """Return what the rules find in a model for the Ascend 310, in the order of `RULES` and of the nodes.

    Parameters
    ----------
    model
        A checked model, as `load_model` returns it.
    patches
        White lists that were added to those of the installed compiler.
    shipped
        White lists of the patches that a cure may name.
    """
    graph = open_graph(model, (STOCK, *patches), tuple(shipped))
    return [finding for item in RULES for finding in item.findings(graph)]


def rule_of(code: str) -> Rule:
    """Return the rule with a code. Raises TargetError for an unknown one."""
    for item in RULES:
        if item.code == code.upper():
            return item
    codes = [item.code for item in RULES]
    near = get_close_matches(code.upper(), codes, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(codes)}"
    raise TargetError(f"there is no rule {code!r}", cure=f"{hint}")


def fix_pipeline(findings: Iterable[Finding]) -> str:
    """Return the text of the pipeline that mends everything that a pass can mend in this model."""
    passes = {text for finding in findings for text in finding.problem.passes.split(",") if text}
    return ",".join(sorted(passes, key=lambda text: (_ORDER.index(text.partition("{")[0]), text)))
