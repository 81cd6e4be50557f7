"""Files of the model and of the graphs that passes make of it, each saved once under its hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.rewriting.manager import run_pass

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import onnx

    from fastscnn_opt.rewriting.contract import Pass


@dataclass(frozen=True)
class SavedGraph:
    """A graph on disk. `parent` is the graph that the pass `item` changed into it; the source has neither."""

    file: Path
    sha256: str
    parent: SavedGraph | None = None
    item: Pass | None = None

    def load(self) -> onnx.ModelProto:
        """Read the graph."""
        return load_model(self.file)


class Workspace:
    """A folder that holds each graph once, named by the hash of its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, model: onnx.ModelProto, parent: SavedGraph | None = None, item: Pass | None = None) -> SavedGraph:
        """Save a model, unless the folder has it, and return its graph."""
        digest = fingerprint(model)
        file = self.folder / f"{digest[:16]}.onnx"
        if not file.exists():
            save_model(model, file)
        return SavedGraph(file, digest, parent, item)

    def run_passes(self, start: SavedGraph, passes: Iterable[Pass]) -> list[SavedGraph]:
        """Run passes one after the other on `start` and return the graph after each.

        Raises
        ------
        PassError
            A pass cannot do its work, or left an invalid graph.
        """
        graphs: list[SavedGraph] = []
        model = start.load()
        for item in passes:
            model, _ = run_pass(item, model)
            graphs.append(self.save(model, graphs[-1] if graphs else start, item))
        return graphs
