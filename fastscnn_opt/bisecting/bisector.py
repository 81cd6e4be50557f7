"""Find the first pass that costs too much, which of its changes do, and the pipeline without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.bisecting.binary_search import disjoint_failing_sets, first_failing
from fastscnn_opt.bisecting.losses import MeasuredLoss
from fastscnn_opt.bisecting.result import (
    Bisection,
    FirstFailingPass,
    HarmfulChanges,
    Measurement,
    Purpose,
    RepairedPipeline,
)
from fastscnn_opt.bisecting.wording import loss_in_words
from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.partial import SeparableChanges
from fastscnn_opt.rewriting.registry import text_of
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx

    from fastscnn_opt.bisecting.graphs import SavedGraph, Workspace
    from fastscnn_opt.bisecting.losses import LossMetric
    from fastscnn_opt.rewriting.contract import Pass

    Report = Callable[[str], None]
    """Shows a line about the progress."""


def find_first_failing(
    workspace: Workspace,
    model: onnx.ModelProto,
    passes: Sequence[Pass],
    metric: LossMetric,
    limit: float,
    *,
    nodes: bool = False,
    report: Report = lambda _: None,
) -> Bisection:
    """Find the first of `passes` after which `model` has lost more than `limit`.

    With `nodes`, also find which changes of that pass cause the loss. Finding the pass takes at most log2(n) + 2
    measurements for n passes, that of `model` itself included. A graph that does not run is over every limit. Contracts
    are not checked.

    Raises
    ------
    UserError
        A pass cannot do its work, or `model` or the data cannot be used.
    """
    return _Bisector(workspace, passes, metric, limit, report).run(model, nodes=nodes)


class _Bisector:
    def __init__(
        self, workspace: Workspace, passes: Sequence[Pass], metric: LossMetric, limit: float, report: Report
    ) -> None:
        self._workspace = workspace
        self._passes = list(passes)
        self._metric = metric
        self._report = report
        self._measured: dict[str, MeasuredLoss] = {}
        self._result = Bisection([text_of(item) for item in passes], metric, limit)

    def run(self, model: onnx.ModelProto, *, nodes: bool) -> Bisection:
        result = self._result
        source = self._workspace.save(model)
        if start := self._metric.start(source):
            result.measurements.append(
                Measurement(Purpose.PASSES, "before the first pass", MeasuredLoss(0.0), fails=False)
            )
            self._report(f"before the first pass: {start}")
        graphs = [source, *self._workspace.run_passes(source, self._passes)]
        changing = [number for number in range(1, len(graphs)) if graphs[number].sha256 != graphs[number - 1].sha256]
        result.unchanged = set(range(1, len(graphs))) - set(changing)

        def fails(count: int) -> bool:
            number = changing[count - 1]
            result.losses[number] = self._loss(graphs[number])
            what = f"after pass {number}, {result.pipeline[number - 1]}"
            return self._record(Purpose.PASSES, what, result.losses[number])

        first = first_failing(len(changing), fails)
        if first is None:
            return result
        number = changing[first - 1]
        result.first_failing = FirstFailingPass(number, result.pipeline[number - 1], result.losses[number])
        before, failing = graphs[number - 1], self._passes[number - 1]
        self._check_repair(before, number, self._harmless_part(before, failing) if nodes else None)
        return result

    def _loss(self, graph: SavedGraph) -> MeasuredLoss:
        if graph.sha256 not in self._measured:
            self._measured[graph.sha256] = self._metric.loss(graph)
        return self._measured[graph.sha256]

    def _record(self, purpose: Purpose, what: str, loss: MeasuredLoss) -> bool:
        """Record and report a measurement; return whether it is over the limit."""
        fails = self._over_limit(loss)
        self._result.measurements.append(Measurement(purpose, what, loss, fails))
        self._report(f"{what}: {loss_in_words(loss, self._metric)}, {'too much' if fails else 'within the limit'}")
        return fails

    def _over_limit(self, loss: MeasuredLoss) -> bool:
        return loss.figure is None or not loss.figure <= self._result.limit

    def _harmless_part(self, before: SavedGraph, item: Pass) -> Pass | None:
        """Find the harmful changes; return the pass with an option that leaves them out, None if there is none."""
        try:
            changes = SeparableChanges(item, before.load())
            sets, losses, harmless = self._divide(before, changes)
        except PassError as error:
            self._result.harmful = HarmfulChanges(reason=str(error))
            return None
        self._result.harmful = HarmfulChanges(changes.nodes, sets, losses)
        return changes.restricted(harmless) if harmless and changes.has_option else None

    def _divide(
        self, before: SavedGraph, changes: SeparableChanges
    ) -> tuple[list[list[str]], dict[tuple[str, ...], MeasuredLoss], list[str]]:
        """Return the sets of changes that fail, the measured losses, and the nodes whose changes are harmless."""
        losses: dict[tuple[str, ...], MeasuredLoss] = {}

        def fails(chosen: Sequence[str]) -> bool:
            key = tuple(chosen)
            if key in losses:
                return self._over_limit(losses[key])
            graph = self._workspace.save(changes.run(chosen), before, changes.restricted(chosen))
            losses[key] = self._loss(graph)
            count = f"{len(chosen)} of {counted(len(changes.nodes), 'change')}"
            return self._record(Purpose.CHANGES, f"{count} of {changes.item.name} ({', '.join(chosen)})", losses[key])

        sets, harmless = disjoint_failing_sets(list(changes.nodes), fails)
        return sets, losses, harmless

    def _check_repair(self, before: SavedGraph, number: int, harmless_part: Pass | None) -> None:
        """Measure the pipeline without pass `number`, or with only its harmless part."""
        later = [*([harmless_part] if harmless_part else []), *self._passes[number:]]
        text = ",".join(text_of(item) for item in [*self._passes[: number - 1], *later])
        try:
            end = [before, *self._workspace.run_passes(before, later)][-1]
        except PassError as error:
            self._result.repaired = RepairedPipeline(text, MeasuredLoss(None), fails=True, reason=str(error))
            return
        loss = self._loss(end)
        fails = self._record(Purpose.REPAIR, f"the pipeline {text or 'without a pass'}", loss)
        self._result.repaired = RepairedPipeline(text, loss, fails, keeps_pass=harmless_part is not None)
