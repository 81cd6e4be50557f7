"""The instrument that runs the graph before and after each pass and checks the difference against the contract."""

from __future__ import annotations

import logging
import tempfile
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ContractBreachError, ModelError, PassError
from fastscnn_opt.files import from_os_error
from fastscnn_opt.model.sampling.given import write_inputs
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.plugins import calling
from fastscnn_opt.rewriting.contract import Contract, Feeds, Pass, Tensor
from fastscnn_opt.rewriting.instruments import Instrument
from fastscnn_opt.rewriting.verification.comparing import compare
from fastscnn_opt.rewriting.verification.expectations import expectations
from fastscnn_opt.rewriting.verification.runner import GraphRunner, TermsRunner
from fastscnn_opt.rewriting.verification.terms import terms_of_outputs

if TYPE_CHECKING:
    import onnx

    from fastscnn_opt.rewriting.report import PassReport

_log = logging.getLogger(__name__)


class Verification(Instrument):
    """Checks the contract of every pass on sample inputs, in onnxruntime on the CPU.

    Parameters
    ----------
    given
        Arrays that stand for the inputs of their names, where type and shape fit; the others are made up.
    reproducers
        The folder below which the files that reproduce a breach are left, by default a new temporary one.
    """

    def __init__(self, given: Feeds = MappingProxyType({}), reproducers: Path | None = None) -> None:
        self._given = given
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
            The graph before the pass does not run in onnxruntime, or not twice alike, so nothing can be compared.
        """
        del index
        report.max_abs_diff = 0.0
        if after is not before:
            _log.info("the verification of the pass %s (--no-verify leaves it out)", report.text)
            runner = self._last if self._last is not None and self._last.model is before else GraphRunner(before)
            self._last = None
            for feeds, expected in expectations(after, partial(_expected, item, runner), self._given):
                deviation = self._check(item, report.contract, runner, after, feeds, expected)
                report.max_abs_diff = max(report.max_abs_diff, deviation)
        report.verified = None if report.contract is Contract.LOSSY else True

    def _check(
        self,
        item: Pass,
        contract: Contract,
        runner: GraphRunner,
        after: onnx.ModelProto,
        feeds: Feeds,
        expected: dict[str, Tensor],
    ) -> float:
        """Return how far the graph after a pass deviates from `expected`."""
        try:
            self._last = self._last or GraphRunner(after)
            actual = self._last(feeds)
        except ModelError as error:
            if runner.misdeclared:
                raise _misdeclared(item, runner) from error
            problem = f"the graph after it does not run: {error}"
            raise self._breach(item, problem, runner.model, after, feeds) from error
        promise = (after, contract, item.tolerance)
        with calling(f"the outputs that the pass {item.name} expects cannot be compared", PassError):
            deviation, problem = compare(expected, actual, *promise, misdeclared=runner.misdeclared)
        if problem and (terms := terms_of_outputs(runner.model)):
            watched = TermsRunner(runner.model, terms)
            item.expected(watched, feeds)
            problem = compare(expected, actual, *promise, watched.largest, runner.misdeclared)[1]
        if problem:
            runner.forget()
            again = _expected(item, runner, feeds)
            if random := compare(expected, again, *promise, misdeclared=again)[1]:
                raise ModelError(
                    f"the model before the pass {item.name} gives other results in every run, so no pass can be "
                    f"verified on it: {random}",
                    cure="go on unchecked with --no-verify",
                )
            if runner.misdeclared:
                raise _misdeclared(item, runner)
            raise self._breach(item, problem, runner.model, after, feeds)
        return deviation

    def _breach(
        self, item: Pass, problem: str, before: onnx.ModelProto, after: onnx.ModelProto, feeds: Feeds
    ) -> ContractBreachError:
        """Write the reproducer and return the error that names it."""
        what = f"the pass {item.name} broke its contract: {problem}"
        try:
            folder = self._keep(item, before, after, feeds)
        except OSError as error:
            return ContractBreachError(what, cure=f"what reproduces it cannot be kept ({from_os_error(error)})")
        _log.info("reproducer of a contract breach written to %s", folder)
        return ContractBreachError(what, cure=f"both graphs and the input are in {folder}", folder=folder)

    def _keep(self, item: Pass, before: onnx.ModelProto, after: onnx.ModelProto, feeds: Feeds) -> Path:
        if self._reproducers is None:
            folder = Path(tempfile.mkdtemp(prefix=f"fastscnn-opt-{item.name}-"))
        else:
            folder = self._reproducers / f"{item.name}-{fingerprint(before)[:8]}"
            folder.mkdir(parents=True, exist_ok=True)
        save_model(before, folder / "before.onnx")
        save_model(after, folder / "after.onnx")
        write_inputs(folder / "inputs.npz", feeds)
        return folder


def _expected(item: Pass, runner: GraphRunner, feeds: Feeds) -> dict[str, Tensor]:
    """Return what the outputs after a pass should be, by the graph before it."""
    with calling(f"the pass {item.name} does not say which outputs it expects", PassError):
        try:
            return item.expected(runner, feeds)
        except (IndexError, ValueError) as error:  # numpy's, where an output has other axes than the pass was told
            if runner.misdeclared:
                raise _misdeclared(item, runner) from error
            raise


def _misdeclared(item: Pass, runner: GraphRunner) -> ModelError:
    name, words = min(runner.misdeclared.items())
    what = f"output {name!r} of the model {words}, so the pass {item.name} cannot be verified on it"
    return ModelError(what, cure="export it again, or correct the shape")
