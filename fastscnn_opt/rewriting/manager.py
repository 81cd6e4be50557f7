"""Runs the passes of a pipeline in order on a copy of a model, and checks the graph after each of them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fastscnn_opt.errors import PassError, UserError
from fastscnn_opt.model.skeleton import Skeleton
from fastscnn_opt.plugins import calling, reason_of
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.instruments import Instrument, Timing
from fastscnn_opt.rewriting.registry import build_pipeline, check_class, text_of
from fastscnn_opt.rewriting.report import PassReport, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from fastscnn_opt.rewriting.contract import Feeds, Pass
    from fastscnn_opt.rewriting.graph.live import LiveGraph


_log = logging.getLogger(__name__)


class PassManager:
    """A pipeline that can be run on models.

    Parameters
    ----------
    pipeline
        A pipeline text, or passes.
    verify
        Check the contract of every pass by running the graph before and after it.
    inputs
        Arrays on which the graphs are run, by the names of inputs; those that are missing, or do not fit after a pass
        that changes the inputs, are made up.
    instruments
        Observers that are called before and after every pass and when one fails, in this order.
    reproducers
        Folder for what reproduces a broken contract or a crash; a new temporary one without it.

    Raises
    ------
    PipelineError
        The text does not parse, or names an unknown pass or option.
    RegistryError
        The class of a pass is not complete.
    """

    def __init__(
        self,
        pipeline: str | Sequence[Pass],
        *,
        verify: bool = True,
        inputs: Feeds = MappingProxyType({}),
        instruments: Sequence[Instrument] = (),
        reproducers: Path | None = None,
    ) -> None:
        self.passes = build_pipeline(pipeline) if isinstance(pipeline, str) else tuple(pipeline)
        for item in self.passes:
            check_class(type(item), f"the pass of the class {type(item).__name__}")
        self.verify = verify
        self.inputs = inputs
        self.instruments = tuple(instruments)
        self._reproducers = reproducers

    @property
    def pipeline(self) -> str:
        """The canonical text of the pipeline."""
        return ",".join(map(text_of, self.passes))

    def run(self, model: onnx.ModelProto | str | os.PathLike[str], *, limits: Limits = DEFAULT_LIMITS) -> Result:
        """Run the passes on a copy of `model`, which itself stays as it is.

        The path of a model file is the safe way: the work is done in a child process, so that a crash of a library, or
        one that goes beyond `limits`, is an error. Passes must be installed for that, and there are no instruments. A
        loaded model is worked on in this process, without limits.

        Raises
        ------
        ModelError
            The model file cannot be read, or a graph cannot be run to verify a pass.
        PassError
            A pass cannot do its work on the model, or left an invalid graph.
        CheckFailedError
            A pass broke its contract.
        TargetError
            The child process crashed, or went beyond a limit.
        """
        if isinstance(model, (str, os.PathLike)):
            return self._run_apart(Path(model), limits)
        result, steps = model, []
        live: LiveGraph | None = None
        instruments = self._all_instruments()
        for index, item in enumerate(self.passes):
            report, before = _new_report(item), result
            _log.info("the pass %s", report.text)
            for instrument in instruments:
                instrument.before(item, index, before)
            try:
                live = live or _live_graph(model)
                _rewrite(item, live, report)
                result = live.model
                for instrument in instruments:
                    instrument.after(item, index, report, before, result)
            except BaseException as error:
                for instrument in instruments:
                    instrument.failed(item, index, before, error)
                raise
            steps.append(report)
        return Result(self.pipeline, result, steps, len(model.graph.node), len(result.graph.node))

    def _run_apart(self, model: Path, limits: Limits) -> Result:
        from fastscnn_opt.rewriting.apart import run_apart

        if self.instruments or build_pipeline(self.pipeline) != self.passes:
            what = "instruments and passes that are not installed work in this process only"
            raise PassError(what, where=model, cure="load the model with load_model, and run the passes on that")
        return run_apart(
            model,
            self.pipeline,
            verify=self.verify,
            inputs=self.inputs,
            reproducers=self._reproducers,
            limits=limits,
        )

    def _all_instruments(self) -> list[Instrument]:
        if not (self.verify and self.passes):
            return [Timing(), *self.instruments]
        from fastscnn_opt.rewriting.verification.instrument import Verification

        return [Timing(), Verification(self.inputs, self._reproducers), *self.instruments]


def run_pass(item: Pass, model: onnx.ModelProto) -> tuple[onnx.ModelProto, PassReport]:
    """Run one pass on a copy of `model`, and return the checked result and what the pass did.

    A pass that changes nothing returns `model` itself, so that a second run gives the same bytes.
    """
    live, report = _live_graph(model), _new_report(item)
    _log.info("the pass %s", report.text)
    _rewrite(item, live, report)
    return live.model, report


def _new_report(item: Pass) -> PassReport:
    with calling(f"the pass {item.name} does not say what it promises", PassError):
        return PassReport(item.name, text_of(item), Contract(item.promise()))


def _live_graph(model: onnx.ModelProto) -> LiveGraph:
    from onnx_graphsurgeon.logger import G_LOGGER

    from fastscnn_opt.rewriting.graph.live import LiveGraph

    G_LOGGER.severity = G_LOGGER.CRITICAL + 1  # it prints to stdout, which belongs to the result
    return LiveGraph(model)


def _rewrite(item: Pass, live: LiveGraph, report: PassReport) -> None:
    """Run a pass on `live`, and enter into `report` what it did."""
    from fastscnn_opt.rewriting.graph.nodes import left_inside

    left = [*left_inside(live.graph, item.operators)]  # before the pass, which may add such graphs itself
    with calling(f"the pass {item.name} failed", PassError):
        try:
            for step in item.rewrite(live.graph):
                report.enter(step)
        except UserError:
            raise
        except Exception as error:
            if why := Skeleton(live.model, "the model").contradiction():
                what = f"the pass {item.name} cannot follow the model, which contradicts itself: {why}"
                raise PassError(what, cure="export the model again") from error
            raise
    report.skips += left
    if not report.changes:
        live.discard()
        return
    try:
        live.commit(f"the graph after {report.text}")
    except Exception as error:  # whatever the conversion makes of what a plug-in left in the graph
        raise PassError(f"the pass {item.name} left an invalid graph: {reason_of(error)}") from error
