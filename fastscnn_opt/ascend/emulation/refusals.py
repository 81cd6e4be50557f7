"""Refuse what atc refuses, and what nobody knows how the device computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.ascend.lint.graph import open_graph
from fastscnn_opt.ascend.lint.rules import REFUSED
from fastscnn_opt.errors import TargetError
from fastscnn_opt.linting.graph import label
from fastscnn_opt.model.interface import with_subgraphs

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

_ATC_CODES = {"A102": " (E19010)", "A301": " (E16005)"}
"""The error codes of atc for what these rules find, as far as they are published."""


def refuse(model: onnx.ModelProto, where: Path) -> None:
    """Raise TargetError if atc would refuse `model`, which is from the file `where`, or if it cannot be emulated."""
    graph = open_graph(model)
    for rule in REFUSED:
        for finding in rule.findings(graph):
            problem = finding.problem
            what = f"atc refuses the model{_ATC_CODES.get(rule.code, '')}: {problem.node}: {problem.message}"
            raise TargetError(what, where=where, cure=problem.cure)
    unknown = [node for node in graph.nodes if "Quantize" in node.op_type or node.op_type.startswith("QLinear")]
    for node in [*unknown, *with_subgraphs(graph.nodes)]:
        what = f"how the device runs the {node.op_type} {label(node)!r} is not known, so it cannot be emulated"
        raise TargetError(what, where=where, cure="leave quantisation and control flow out of the model")
