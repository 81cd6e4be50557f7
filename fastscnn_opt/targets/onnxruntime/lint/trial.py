"""Ask a pass what it would change in a model, so that a rule need not say again where the pass applies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import PassError

if TYPE_CHECKING:
    from fastscnn_opt.linting.graph import Graph
    from fastscnn_opt.rewriting.contract import Change


def changes(graph: Graph, passes: str) -> list[Change]:
    """Return what the pipeline `passes` would change in a graph: nothing if one of them refuses the model."""
    from fastscnn_opt.rewriting.manager import PassManager

    try:
        result = PassManager(passes, verify=False).run(graph.model)
    except PassError:  # what a pass refuses it does not mend
        return []
    return [change for step in result.steps for change in step.changes]
