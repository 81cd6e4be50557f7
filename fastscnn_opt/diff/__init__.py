"""What changed between two models, whatever their nodes and tensors are called.

`scope` reads a graph, `matching` finds the node of one graph that is a node of the other, `comparing` names what is
different, and `result` holds it for people and programs.
"""

from __future__ import annotations

from fastscnn_opt.diff.models import diff_models
from fastscnn_opt.diff.result import Difference, Item, ModelDiff

__all__ = ["Difference", "Item", "ModelDiff", "diff_models"]
