"""The instrument that runs the graph before and after each pass and checks the difference against the contract."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import ContractBreachError, ModelError
from fastscnn_opt.model.samples import sample_inputs
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.rewriting.contract import Contract, Feeds, Pass
from fastscnn_opt.rewriting.instruments import Instrument
from fastscnn_opt.rewriting.verification.comparing import compare
from fastscnn_opt.rewriting.verification.runner import GraphRunner, TermsRunner
from fastscnn_opt.rewriting.verification.terms import terms_of_outputs

if TYPE_CHECKING:
    import onnx

    from fastscnn_opt.rewriting.report import PassReport

_log = logging.getLogger(__name__)


class Verification(Instrument):
    """Checks the contract of every pass on sample inputs, in onnxruntime on the CPU.

    The files that reproduce a breach are left in a folder below `reproducers`, by default in a new temporary folder.
    """

    def __init__(self, seed: int = 0, reproducers: Path | None = None) -> None:
        self.seed = seed
        self._reproducers = reproducers
        self._last: GraphRunner | None = None

    def after(
        self, item: Pass, index: int, report: PassReport, before: onnx.ModelProto, after: onnx.ModelProto
    ) -> None:
        """Enter ``verified`` and ``max_abs_diff`` into the report.

        Raises
        ------
        ContractBreachError
            With the pass, the output, the worst element and the folder that reproduces it.
        ModelError
            The graph before the pass does not run in onnxruntime, so nothing can be compared.
        """
        del index
        if after is before:
            report.verified, report.max_abs_diff = (None if report.contract is Contract.LOSSY else True), 0.0
            return
        feeds = sample_inputs(after, self.seed)
        runner = self._last if self._last is not None and self._last.model is before else GraphRunner(before)
        expected = item.expected(runner, feeds)
        try:
            self._last = GraphRunner(after)
            actual = self._last(feeds)
        except ModelError as error:
            problem = f"the graph after it does not run: {error}"
            raise _breach(item, problem, before, after, feeds, self._reproducers) from error
        report.max_abs_diff, problem = compare(expected, actual, after, item.promise(), item.tolerance)
        if problem and (terms := terms_of_outputs(before)):
            watched = TermsRunner(before, terms)
            item.expected(watched, feeds)
            problem = compare(expected, actual, after, item.promise(), item.tolerance, watched.largest)[1]
        if problem:
            raise _breach(item, problem, before, after, feeds, self._reproducers)
        report.verified = None if item.promise() is Contract.LOSSY else True


def _breach(
    item: Pass, problem: str, before: onnx.ModelProto, after: onnx.ModelProto, feeds: Feeds, root: Path | None
) -> ContractBreachError:
    """Write the reproducer and return the error that names it."""
    if root is None:
        folder = Path(tempfile.mkdtemp(prefix=f"fastscnn-opt-{item.name}-"))
    else:
        folder = root / f"{item.name}-{fingerprint(before)[:8]}"
        folder.mkdir(parents=True, exist_ok=True)
    save_model(before, folder / "before.onnx")
    save_model(after, folder / "after.onnx")
    arrays: dict[str, Any] = dict(feeds)
    np.savez(folder / "inputs.npz", **arrays)
    _log.info("reproducer of a contract breach written to %s", folder)
    what, cure = f"the pass {item.name} broke its contract: {problem}", f"both graphs and the input are in {folder}"
    return ContractBreachError(what, cure=cure, folder=folder)
