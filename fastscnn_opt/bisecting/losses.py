"""Measure what a graph has lost against its source model: points of mIoU, or the deviation of its outputs."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from fastscnn_opt import cache
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.machine import versions
from fastscnn_opt.measuring.image_input import image_input, open_for
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.metadata import metadata_of
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.rewriting.verification.comparing import compare
from fastscnn_opt.rewriting.verification.expectations import expectations
from fastscnn_opt.rewriting.verification.runner import GraphRunner
from fastscnn_opt.scoring.one_model import evaluate
from fastscnn_opt.scoring.records import as_json
from fastscnn_opt.targets.signature import signature_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx

    from fastscnn_opt.bisecting.graphs import SavedGraph
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.rewriting.contract import Feeds, Pass, Runner, Tensor
    from fastscnn_opt.scoring.stages.executor import Executor
    from fastscnn_opt.targets.spec import TargetSpec

_CACHE_KIND = "accuracy"


@dataclass(frozen=True)
class MeasuredLoss:
    """What a graph has lost; the figure is None, with the reason, for a graph that cannot run."""

    figure: float | None
    reason: str = ""


class LossMetric(Protocol):
    """Measures losses; `key` is its name in JSON, and `heading` that of its column in a table."""

    key: str
    heading: str

    def words(self, figure: float) -> str:
        """Return a figure as the end of a sentence about a graph."""

    def limit(self, figure: float) -> str:
        """Return the largest loss that is allowed, as part of a sentence."""

    def start(self, source: SavedGraph) -> str:
        """Measure the source, with which all graphs are compared; return its figure in words, or the empty text."""

    def loss(self, graph: SavedGraph) -> MeasuredLoss:
        """Return the loss of `graph` against its source."""


class AccuracyLoss:
    """Points of mIoU that a graph has lost against its source, both run on the same images in a child process.

    An adaptive average pooling, which no engine runs, is expanded into single windows first. The cache holds each
    figure under the content of the graph, the images, the target and the versions. `executor` is where the graphs run,
    by default this machine.
    """

    key = "mIoU_drop"
    heading = "points of mIoU lost"

    def __init__(
        self,
        source: DataSource,
        target: TargetSpec,
        *,
        limits: Limits = DEFAULT_LIMITS,
        executor: Executor | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._executor = executor
        tools = executor.tool_versions(target) if executor else target.available().tool_versions()
        packages = versions(("fastscnn-opt", "numpy", "pillow"))
        self._source_miou = 0.0
        self._conditions = json.dumps([source.fingerprint(), target.name, dict(target.options), tools, packages])

    def words(self, figure: float) -> str:
        """Return points that were lost or gained."""
        return f"{abs(figure):.4g} points of mIoU {'gained' if figure < 0 else 'lost'}"

    def limit(self, figure: float) -> str:
        """Return the points that may be lost."""
        return f"{figure:g} points of mIoU"

    def start(self, source: SavedGraph) -> str:
        """Measure the source. Raises UserError if it cannot be run, or the images cannot be used."""
        try:
            self._source_miou = self._miou(source)
        except (ModelError, TargetError) as error:
            raise error.within("the model before all passes") from None
        return f"mIoU {100 * self._source_miou:.2f} %"

    def loss(self, graph: SavedGraph) -> MeasuredLoss:
        """Measure `graph`. Raises DataError if the images cannot be used."""
        try:
            return MeasuredLoss(100 * (self._source_miou - self._miou(graph)))
        except (ModelError, TargetError) as error:
            return MeasuredLoss(None, str(error))

    def _miou(self, graph: SavedGraph) -> float:
        """Return the mIoU of a graph as a fraction."""
        key = cache.key_of(graph.sha256, self._conditions)
        if (cached := cache.get(_CACHE_KIND, key)) is not None:
            return float(json.loads(cached)["mIoU"])
        file = self._runnable(graph)
        try:
            found = evaluate(file, self._source, self._target, limits=self._limits, executor=self._executor)
        except (ModelError, TargetError) as error:  # the user does not know the file, but what made the graph
            error.where = "" if error.where == str(file) else error.where
            error.what = error.what.replace(str(file), "the graph")
            raise
        cache.put(_CACHE_KIND, key, json.dumps(as_json(found.accuracy)).encode())
        return found.accuracy.mIoU

    def _runnable(self, graph: SavedGraph) -> Path:
        model = graph.load()
        expanded = expand_adaptive_pooling(model)
        if expanded is model:
            return graph.file
        file = graph.file.with_name(f"{graph.file.stem}-runnable.onnx")
        save_model(expanded, file)
        return file


class Deviation:
    """The largest absolute deviation of an output from the outputs that the passes promise for the source.

    Label maps deviate by the distance of the logits of the two labels. The inputs are the images of `source`, or
    without images the sample inputs on which contracts are verified, with the arrays of `given` among them.
    """

    key = "max_abs_diff"
    heading = "deviation"

    def __init__(self, source: DataSource | None = None, given: Feeds = MappingProxyType({})) -> None:
        self._source = source
        self._given = given
        self._runners: dict[str, GraphRunner] = {}

    def words(self, figure: float) -> str:
        """Return a deviation."""
        return f"deviates by {figure:.4g}"

    def limit(self, figure: float) -> str:
        """Return the deviation that is allowed."""
        return f"a deviation of {figure:g}"

    def start(self, source: SavedGraph) -> str:
        """Return the empty text: the source does not deviate from itself."""
        del source
        return ""

    def loss(self, graph: SavedGraph) -> MeasuredLoss:
        """Compare `graph` with its source. Raises UserError if the source cannot be run or the images do not fit."""
        after = graph.load()
        expected = self._expected(graph)
        try:
            actual = GraphRunner(after)
        except ModelError as error:
            return MeasuredLoss(None, str(error))
        worst = 0.0
        for feeds, wanted in self._expectations(after, expected):
            try:
                values = actual(feeds)
            except ModelError as error:
                return MeasuredLoss(None, str(error))
            worst = max(worst, compare(wanted, values, after)[0])
        return MeasuredLoss(worst)

    def _expected(self, graph: SavedGraph) -> Runner:
        """Return a runner that computes the outputs `graph` must have from those of its source."""
        if graph.parent is None or graph.item is None:
            if graph.sha256 not in self._runners:
                self._runners[graph.sha256] = GraphRunner(graph.load())
            return self._runners[graph.sha256]
        return _ExpectedOutputs(graph, self._expected(graph.parent), graph.item)

    def _expectations(self, model: onnx.ModelProto, expected: Runner) -> Iterator[tuple[Feeds, dict[str, Tensor]]]:
        if self._source is None:
            yield from expectations(model, expected, self._given)
            return
        inputs, metadata = signature_of(model).inputs, metadata_of(model)
        source = self._source.for_model(metadata)
        preprocess, given = source.preprocess_for(metadata), source.interface.inputs
        dataset = open_for(source, inputs, preprocess)
        with closing(prefetch(dataset.load, len(dataset))) as samples:
            for sample in samples:
                feeds = image_input(inputs, None, preprocess, given).feed([sample.image])
                yield feeds, expected(feeds)


@dataclass(frozen=True)
class _ExpectedOutputs:
    """Computes the outputs that `graph`, which the pass `item` made, must have from those of the graph `before`."""

    graph: SavedGraph
    before: Runner
    item: Pass

    @property
    def model(self) -> onnx.ModelProto:
        return self.graph.load()

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        return self.item.expected(self.before, feeds)
