"""The differences between two models, found even if nodes and tensors were renamed.

`scope` reads a graph, `matching` pairs the nodes of two graphs, `comparing` lists the differences of the pairs, and
`result` holds them.
"""

from __future__ import annotations

from fastscnn_opt.diff.models import diff_models
from fastscnn_opt.diff.result import Difference, Item, ModelDiff

__all__ = ["Difference", "Item", "ModelDiff", "diff_models"]
