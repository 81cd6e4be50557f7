"""What to tell a user whose engine refuses a model because of an operator that only the vendor compiler knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def unlowered_pooling(file: Path, engine: str) -> str | None:
    """Name the node of an ONNX file that `engine` cannot know, and the cure; None if there is none such.

    Raises ModelError if `file` is no model.
    """
    from fastscnn_opt.model import ADAPTIVE_POOL, load_model

    for node in load_model(file).graph.node:
        if node.op_type == ADAPTIVE_POOL:
            named = node.name or node.output[0]
            return (
                f"node {named!r} is an {ADAPTIVE_POOL}, which {engine} does not have; "
                "lower it with `--passes adaptive-avgpool`"
            )
    return None
