"""Rules about the model as a whole: operator sets and open dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.ascend import chip
from fastscnn_opt.linting.rules import Problem, Severity, rule
from fastscnn_opt.model.interface import ONNX_DOMAINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.linting.graph import Graph

_MODEL = "model"


@rule("A301", Severity.ERROR, "operator set that is named twice or needlessly")
def operator_sets(graph: Graph) -> Iterator[Problem]:
    """Find more entries for operator sets than atc takes.

    A domain may be named once only, and one that no node uses counts all the same (E16005: The model has [2]
    [--domain_version] fields, but only one is allowed). The empty domain and `ai.onnx` are the same one.

    Cure: any pass that changes the graph, such as `fp16-output`, writes the list anew with one entry per domain in use.
    """
    domains = ["" if opset.domain in ONNX_DOMAINS else opset.domain for opset in graph.model.opset_import]
    used = {"", *(node.domain for node in graph.nodes)}
    listed = ", ".join(f"{opset.domain or 'ai.onnx'} {opset.version}" for opset in graph.model.opset_import)
    repeated = {domain for domain in domains if domains.count(domain) > 1}
    reasons = [f"{domain or 'ai.onnx'} is named {domains.count(domain)} times" for domain in sorted(repeated)]
    reasons += [f"no node uses {domain}" for domain in sorted(set(domains) - used)]
    if reasons:
        yield Problem(
            _MODEL,
            f"its operator sets are {listed}, and {', '.join(reasons)}",
            "write the list anew with any pass that changes the graph, such as `fp16-output`",
            "fp16-output" if any(graph.dtype(value.name) == np.float32 for value in graph.outputs) else "",
        )


@rule("A302", Severity.ERROR, "operator set that atc does not take")
def new_opset(graph: Graph) -> Iterator[Problem]:
    """Find a default operator set newer than 13, the newest that atc of CANN 5.0.2 supports.

    Cure: export the model with opset 11 to 13 (`fastscnn-opt export --opset 13`).
    """
    if graph.opset > chip.NEWEST_OPSET:
        yield Problem(
            _MODEL, f"opset {graph.opset} is newer than {chip.NEWEST_OPSET}", f"export it with opset {chip.OPSETS}"
        )


@rule("A303", Severity.WARNING, "operator set that atc supports poorly")
def old_opset(graph: Graph) -> Iterator[Problem]:
    """Find a default operator set older than 11; 11 to 13 are those that atc of CANN 5.0.2 supports well.

    Cure: export the model with opset 11 to 13 (`fastscnn-opt export --opset 13`).
    """
    if graph.opset < chip.OLDEST_OPSET:
        yield Problem(
            _MODEL, f"opset {graph.opset} is older than {chip.OLDEST_OPSET}", f"export it with opset {chip.OPSETS}"
        )


@rule("A304", Severity.ERROR, "open dimension")
def open_dimension(graph: Graph) -> Iterator[Problem]:
    """Find inputs with a dimension that is not fixed, such as a dynamic batch.

    atc refuses them (E10001: Value [-1] for parameter [image] is invalid).

    Cure: the pass `static-batch` for the batch, `static-shape` for any other. The compile option `input_shape` fixes
    them all, for one compilation.
    """
    for value in graph.inputs:
        shape = graph.shape(value.name)
        if shape is not None and all(length is not None for length in shape):
            continue
        cure, passes = graph.what_fixes([value])
        yield Problem(
            value.name,
            f"has open dimensions ({graph.describe(value.name)})",
            f"fix it with the pass `{cure}`, or give the compile option `input_shape`",
            passes,
        )
