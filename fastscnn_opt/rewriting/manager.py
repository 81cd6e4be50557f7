"""Runs the passes of a pipeline in order on a copy of a model, and checks what each of them makes.

Where somebody looks at the models between passes, such as the verification, each is made and checked as a whole. Where
nobody does, a pass's changes alone are looked at before the next one, and the whole graph at the end; when something is
wrong then, the passes run again with a whole check after each, so that the right one is named.
"""

from __future__ import annotations

import gc
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import ModelError, PassError, UserError
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip
from fastscnn_opt.rewriting.instruments import Instrument, Timing
from fastscnn_opt.rewriting.registry import build_pipeline, text_of
from fastscnn_opt.rewriting.report import as_html, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import onnx

    from fastscnn_opt.rewriting.graph.live import LiveGraph

_OBJECTS_PER_COLLECTION = 50_000
"""How many objects a run may make until the garbage collector looks at them: those of some 2500 nodes.

Measured on a chain of 5332 nodes: Python's 700 take 1.8 times as long, and more than this takes no less.
"""


@dataclass
class PassReport:
    """What one pass did.

    Attributes
    ----------
    name, text
        The pass's name, and its pipeline text with options.
    contract
        The promise that held with these options.
    changes, skips
        What it changed and what it left alone, with reasons.
    seconds
        Time of the rewrite, without verification; where somebody looks at the models between passes, making and
        checking the model after it counts, too.
    verified
        True if the promise was checked and kept; None if it was not checked, or if the contract is lossy, which no
        number can judge.
    max_abs_diff
        Largest absolute deviation of an output from what was expected (for labels: the logit gap at pixels that
        differ); None if not
        measured.
    """

    name: str
    text: str
    contract: Contract
    changes: list[Change] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    seconds: float = 0.0
    verified: bool | None = None
    max_abs_diff: float | None = None

    def enter(self, step: object) -> None:
        """Add what a pass yielded. Raises PassError for anything but a `Change` or a `Skip`."""
        if isinstance(step, Change):
            self.changes.append(step)
        elif isinstance(step, Skip):
            self.skips.append(step)
        else:
            raise PassError(f"the pass {self.name} yielded {step!r}, which is neither a Change nor a Skip")

    def to_json(self) -> dict[str, Any]:
        """Return the step as the `apply` verb prints it; a deviation without limit, which JSON cannot hold, is None."""
        return {
            "pass": self.name,
            "text": self.text,
            "contract": str(self.contract),
            "changes": [{"node": change.node, "what": change.what} for change in self.changes],
            "skips": [{"node": skip.node, "why": skip.why} for skip in self.skips],
            "seconds": self.seconds,
            "verified": self.verified,
            "max_abs_diff": self.max_abs_diff if self.max_abs_diff != math.inf else None,
        }


@dataclass(frozen=True)
class Result:
    """The rewritten model and the report of every pass, in order."""

    pipeline: str
    model: onnx.ModelProto
    steps: list[PassReport]
    nodes_before: int
    nodes_after: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as the `apply` verb prints it."""
        return {
            "pipeline": self.pipeline,
            "steps": [step.to_json() for step in self.steps],
            "nodes_before": self.nodes_before,
            "nodes_after": self.nodes_after,
        }

    def summary(self, *, everything: bool = False) -> str:
        """Return the result in words: per pass its changes, skips with reasons, seconds and verification.

        Nodes of which the same is to be said share a line, unless `everything` is asked for.
        """
        lines = describe(self.steps, everything=everything)
        return "\n".join([*lines, f"{self.nodes_before} -> {self.nodes_after} nodes"])

    def _repr_html_(self) -> str:
        """Show the result as a table in a notebook."""
        return as_html(self)


class PassManager:
    """A pipeline that can be run on models.

    Parameters
    ----------
    pipeline
        A pipeline text, or passes.
    verify
        Hold every pass against its contract by running the graph before and after it.
    instruments
        Observers that are told before and after every pass and when one fails, in this order.
    reproducers
        Folder for what reproduces a broken contract; a new temporary one without it.

    Raises
    ------
    PipelineError
        The text does not parse, or names an unknown pass or option.
    """

    def __init__(
        self,
        pipeline: str | Sequence[Pass],
        *,
        verify: bool = True,
        instruments: Sequence[Instrument] = (),
        reproducers: Path | None = None,
    ) -> None:
        self.passes = build_pipeline(pipeline) if isinstance(pipeline, str) else tuple(pipeline)
        self.verify = verify
        self.instruments = tuple(instruments)
        self._reproducers = reproducers

    @property
    def pipeline(self) -> str:
        """The canonical text of the pipeline."""
        return ",".join(map(text_of, self.passes))

    def run(self, model: onnx.ModelProto) -> Result:
        """Run the passes on a copy of `model`, which itself stays as it is.

        Raises
        ------
        PassError
            A pass cannot do its work on the model, or left an invalid graph.
        CheckFailedError
            A pass broke its contract.
        """
        instruments: list[Instrument] = [Timing(), *self.instruments]
        if self.verify and self.passes:
            from fastscnn_opt.rewriting.verify import Verification

            instruments.insert(1, Verification(reproducers=self._reproducers))
        with _patient_collector():
            if len(instruments) == 1 and len(self.passes) > 1:
                result = self._run_unseen(model, instruments[0])
                if result is not None:
                    return result
            return self._run_watched(model, instruments)

    def _run_watched(self, model: onnx.ModelProto, instruments: list[Instrument]) -> Result:
        """Run the passes with a whole model, checked, after each."""
        live: LiveGraph | None = None
        before, steps = model, []
        for index, item in enumerate(self.passes):
            report = PassReport(item.name, text_of(item), item.promise())
            for instrument in instruments:
                instrument.before(item, index, before)
            try:
                live = live or _live_graph(model)
                _rewrite(item, live, report)
                with _blaming(item):
                    after = live.model
                for instrument in instruments:
                    instrument.after(item, index, report, before, after)
            except BaseException as error:
                for instrument in instruments:
                    instrument.failed(item, index, before, error)
                raise
            before = after
            steps.append(report)
        return Result(self.pipeline, before, steps, len(model.graph.node), len(before.graph.node))

    def _run_unseen(self, model: onnx.ModelProto, clock: Instrument) -> Result | None:
        """Run the passes with no whole model between them, and so without a whole check; return None if one goes wrong.

        An error then need not be that of the pass in which it shows.
        """
        live = _live_graph(model)
        steps = []
        try:
            for index, item in enumerate(self.passes):
                report = PassReport(item.name, text_of(item), item.promise())
                with _blaming(item):
                    live.settle()  # what the pass before costs is not to count for this one
                clock.before(item, index, model)
                _rewrite(item, live, report)
                clock.after(item, index, report, model, model)
                steps.append(report)
            with _blaming(self.passes[-1]):
                result = live.model
        except UserError:
            if live.is_checked:
                raise
            return None
        return Result(self.pipeline, result, steps, len(model.graph.node), len(result.graph.node))


def run_pass(item: Pass, model: onnx.ModelProto, report: PassReport) -> onnx.ModelProto:
    """Run one pass on a copy of `model`, enter its steps into `report`, and return the checked result.

    A pass that changes nothing returns `model` itself, so that a second run gives the same bytes.
    """
    with _patient_collector():
        live = _live_graph(model)
        _rewrite(item, live, report)
        with _blaming(item):
            return live.model


def _live_graph(model: onnx.ModelProto) -> LiveGraph:
    from fastscnn_opt.rewriting.graph.live import LiveGraph

    return LiveGraph(model)


def _rewrite(item: Pass, live: LiveGraph, report: PassReport) -> None:
    from onnx_graphsurgeon.logger import G_LOGGER

    G_LOGGER.severity = G_LOGGER.CRITICAL  # it prints to stdout, which belongs to the result
    with _blaming(item):
        graph = live.graph
    try:
        for step in item.rewrite(graph):
            report.enter(step)
    except UserError:
        raise
    except Exception as error:  # whatever the code of a plug-in raises; its name is what the user needs
        raise PassError(
            f"the pass {item.name} failed: {type(error).__name__}: {error} (--debug shows where)"
        ) from error
    if not report.changes:
        live.discard()
        return
    with _blaming(item):
        live.commit(f"the graph after {report.text}")


@contextmanager
def _blaming(item: Pass) -> Iterator[None]:
    """Say of what makes a graph invalid that the pass `item` left it so."""
    from onnx_graphsurgeon.util.exception import OnnxGraphSurgeonException

    try:
        yield
    except (ModelError, PassError, OnnxGraphSurgeonException, RuntimeError) as error:
        raise PassError(f"the pass {item.name} left an invalid graph: {error}") from error


@contextmanager
def _patient_collector() -> Iterator[None]:
    """Keep the garbage collector from looking again and again at the many objects of a graph that is being made.

    It still looks, now and then: a pass may leave much garbage.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _OBJECTS_PER_COLLECTION) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
