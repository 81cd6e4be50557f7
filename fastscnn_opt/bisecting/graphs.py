"""A model and the graphs that passes make of it, kept as files so that none is made twice or held in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.rewriting.manager import PassReport, run_pass
from fastscnn_opt.rewriting.registry import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import onnx

    from fastscnn_opt.rewriting.contract import Pass


@dataclass(frozen=True)
class Graph:
    """A graph on disk. `parent` is the graph it was made of and `item` the pass that did it; the source has neither."""

    file: Path
    sha256: str
    parent: Graph | None = None
    item: Pass | None = None

    def load(self) -> onnx.ModelProto:
        """Read the graph."""
        return load_model(self.file)


class Workshop:
    """Makes graphs in `folder`, each under the hash of its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, model: onnx.ModelProto, parent: Graph | None = None, item: Pass | None = None) -> Graph:
        """Save a model unless it is there already."""
        digest = fingerprint(model)
        file = self.folder / f"{digest[:16]}.onnx"
        if not file.exists():
            save_model(model, file)
        return Graph(file, digest, parent, item)

    def grow(self, start: Graph, items: Iterable[Pass]) -> list[Graph]:
        """Run passes one after the other on `start` and return the graph after each.

        Raises
        ------
        PassError
            A pass cannot do its work, or left an invalid graph.
        """
        grown: list[Graph] = []
        model = start.load()
        for item in items:
            model = run_pass(item, model, PassReport(item.name, text_of(item), item.promise()))
            grown.append(self.keep(model, grown[-1] if grown else start, item))
        return grown
