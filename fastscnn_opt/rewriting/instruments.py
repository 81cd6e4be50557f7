"""Observers of a pass manager: timing, dumps and progress. Verification is another one, in `verification`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastscnn_opt.model.saving import save_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import onnx

    from fastscnn_opt.rewriting.contract import Pass
    from fastscnn_opt.rewriting.report import PassReport


class Instrument:
    """Observes a pass manager; a subclass overrides the methods that it needs."""

    def before(self, item: Pass, index: int, model: onnx.ModelProto) -> None:
        """Observe that the pass `item`, at `index` in the pipeline, is about to run on `model`."""

    def after(
        self, item: Pass, index: int, report: PassReport, before: onnx.ModelProto, after: onnx.ModelProto
    ) -> None:
        """Observe the result; may raise a `UserError` to stop the run, and may add figures to `report`."""

    def failed(self, item: Pass, index: int, model: onnx.ModelProto, error: BaseException) -> None:
        """Observe that the pass, or an instrument after it, raised `error`; the run ends."""


class Timing(Instrument):
    """Measures the seconds of every rewrite."""

    def before(self, item: Pass, index: int, model: onnx.ModelProto) -> None:
        """Start the clock."""
        del item, index, model
        self._start = time.perf_counter()

    def after(
        self, item: Pass, index: int, report: PassReport, before: onnx.ModelProto, after: onnx.ModelProto
    ) -> None:
        """Stop the clock."""
        del item, index, before, after
        report.seconds = time.perf_counter() - self._start


class GraphDump(Instrument):
    """Writes ``00-input.onnx`` and the graph after pass N as ``NN-name.onnx`` into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, passes: Sequence[Pass]) -> list[Path]:
        """Return the files that a run of `passes` writes, in their order."""
        names = ["input", *(item.name for item in passes)]
        return [self.folder / f"{index:02}-{name}.onnx" for index, name in enumerate(names)]

    def before(self, item: Pass, index: int, model: onnx.ModelProto) -> None:
        """Write the input of the pipeline once."""
        del item
        if index == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_model(model, self.folder / "00-input.onnx")

    def after(
        self, item: Pass, index: int, report: PassReport, before: onnx.ModelProto, after: onnx.ModelProto
    ) -> None:
        """Write the graph that the pass made."""
        del report, before
        save_model(after, self.folder / f"{index + 1:02}-{item.name}.onnx")


class PassProgress(Instrument):
    """Calls `show` with a line when a pass starts, and `advance` with 1 when it is done and verified."""

    def __init__(self, show: Callable[[str], None], advance: Callable[[int], None] = lambda _: None) -> None:
        self.show = show
        self.advance = advance

    def before(self, item: Pass, index: int, model: onnx.ModelProto) -> None:
        """Say which pass starts."""
        self.show(f"{index + 1}. {item.name} ({len(model.graph.node)} nodes)")

    def after(
        self, item: Pass, index: int, report: PassReport, before: onnx.ModelProto, after: onnx.ModelProto
    ) -> None:
        """Count the pass."""
        del item, index, report, before, after
        self.advance(1)
