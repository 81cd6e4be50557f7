"""The numeric check of a contract: run the graph before and after a pass, and hold the difference against it."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import CheckFailedError, ModelError
from fastscnn_opt.model.engine_errors import engine_errors, reason_of
from fastscnn_opt.model.external_data import has_weights_outside, relative_to_root
from fastscnn_opt.model.runnable import runnable
from fastscnn_opt.model.samples import sample_inputs
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.rewriting.contract import HALF_NETWORK_TOLERANCE, Contract, Feeds, Labels, Pass, Tensor
from fastscnn_opt.rewriting.instruments import Instrument
from fastscnn_opt.rewriting.terms import terms_of_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from fastscnn_opt.rewriting.report import PassReport

EXACT_TOLERANCE = 1e-4
"""For an exact pass: the largest deviation allowed, relative to the largest magnitude of the output.

Reordering the sums of a float32 network of FastSCNN's depth moves its logits by about 1e-6 of their range in the mean
and 1e-5 at worst;
a window or a pixel that is off by one moves them by 1e-2 and more.
"""

_THROUGH = ("Cast", "Squeeze", "Identity", "Reshape", "Unsqueeze")
_log = logging.getLogger(__name__)


class ContractBreachError(CheckFailedError):
    """A pass broke its promise; `folder` holds the ``before.onnx``, ``after.onnx`` and ``inputs.npz`` that show it."""

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


class Verification(Instrument):
    """Holds every pass against its contract on sample inputs, in onnxruntime on the CPU.

    What reproduces a breach is left in a folder below `reproducers`, or in a new temporary folder without it.
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
            raise _breach(
                item, f"the graph after it does not run: {error}", before, after, feeds, self._reproducers
            ) from error
        report.max_abs_diff, problem = compare(expected, actual, after, item.promise(), item.tolerance)
        if problem and (terms := terms_of_outputs(before)):
            watched = _TermsRunner(before, terms)
            item.expected(watched, feeds)
            problem = compare(expected, actual, after, item.promise(), item.tolerance, watched.largest)[1]
        if problem:
            raise _breach(item, problem, before, after, feeds, self._reproducers)
        report.verified = None if item.promise() is Contract.LOSSY else True


class GraphRunner:
    """Runs a model in onnxruntime; a label output that an ArgMax made comes with the logits behind it.

    Raises
    ------
    ModelError
        onnxruntime refuses the model.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnxruntime as ort

        self.model = model
        self.outputs = [output.name for output in model.graph.output]
        executable, self.logits = _expose_logits(runnable(model))
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.enable_mem_pattern = False  # planning memory for later runs takes the square of the number of nodes
        if has_weights_outside(executable):
            executable, folder = relative_to_root(executable)
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
            options.add_session_config_entry("session.disable_prepacking", "1")  # which would copy all weights
        try:
            self.session = ort.InferenceSession(
                executable.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except engine_errors() as error:
            raise ModelError(
                f"onnxruntime refuses the graph ({reason_of(error)})", cure="to go on unchecked, use --no-verify"
            ) from error
        self._memo: tuple[Feeds, dict[str, Tensor]] | None = None

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs by name."""
        if self._memo is not None and _same(self._memo[0], feeds):
            return dict(self._memo[1])
        names = [*self.outputs, *(logits for logits, _ in self.logits.values())]
        try:
            values = dict(zip(names, self.session.run(names, dict(feeds)), strict=True))
        except engine_errors() as error:
            raise ModelError(f"onnxruntime fails on the graph ({reason_of(error)})") from error
        result: dict[str, Tensor] = {
            name: Labels(values[name], values[self.logits[name][0]], self.logits[name][1])
            if name in self.logits
            else values[name]
            for name in self.outputs
        }
        self._memo = (dict(feeds), result)
        return dict(result)


class _TermsRunner:
    """Runs a model, and notes how large the terms are that its outputs are sums of.

    Attributes
    ----------
    largest
        The largest magnitude of the terms in all runs, by output.
    """

    def __init__(self, model: onnx.ModelProto, terms: Mapping[str, Sequence[str]]) -> None:
        import onnx

        self.model = model
        self.largest = dict.fromkeys(terms, 0.0)
        self._terms = terms
        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        added = {name for names in terms.values() for name in names} - {output.name for output in model.graph.output}
        exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(added))
        self._runner = GraphRunner(exposed)

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs by name."""
        values = self._runner(feeds)
        for output, names in self._terms.items():
            magnitudes = (_magnitude(_values(values[name])) for name in names)
            self.largest[output] = max(self.largest[output], *magnitudes)
        return {output.name: values[output.name] for output in self.model.graph.output}


def _same(first: Feeds, second: Feeds) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def _expose_logits(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, tuple[str, int]]]:
    """Make the input of every ArgMax behind an output an output too; return it by output, with the class axis.

    Where an If makes the labels, and one of its branches ends in an ArgMax, that branch says what they stand for: its
    nodes before the ArgMax are run beside the If.
    """
    import onnx

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    logits: dict[str, tuple[str, int]] = {}
    for output in model.graph.output:
        node = _first_behind(model.graph, output.name)
        if node is not None and node.op_type == "If":
            node = _hoist(exposed.graph, node)
        if node is not None and node.op_type == "ArgMax":
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            logits[output.name] = (node.input[0], axis)
    extra = {name for name, _ in logits.values()} - {output.name for output in model.graph.output}
    if not extra:
        return model, logits
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(extra))
    known = {info.name: info for info in (*model.graph.value_info, *model.graph.input)}
    for output in exposed.graph.output:
        if output.name in extra and output.name in known:
            output.CopyFrom(known[output.name])
    return exposed, logits


def _first_behind(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """Return the node that makes the tensor `name`, looking through nodes that only change its form."""
    producers = {output: node for node in graph.node for output in node.output}
    node = producers.get(name)
    while node is not None and node.op_type in _THROUGH:
        node = producers.get(node.input[0])
    return node


def _hoist(graph: onnx.GraphProto, condition: onnx.NodeProto) -> onnx.NodeProto | None:
    """Append to `graph` what a branch of an If does, under new names; return its last ArgMax, or None without one."""
    import onnx

    for attribute in condition.attribute:
        branch = onnx.GraphProto()
        branch.CopyFrom(attribute.g)
        best = _first_behind(branch, branch.output[0].name)
        nested = any(inner.HasField("g") for node in branch.node for inner in node.attribute)
        if nested or best is None or best.op_type != "ArgMax":
            continue
        own = {name for node in branch.node for name in node.output} | {tensor.name for tensor in branch.initializer}
        for tensor in branch.initializer:
            tensor.name = f"hoisted/{tensor.name}"
        for node in branch.node:
            for names in (node.input, node.output):
                names[:] = [f"hoisted/{name}" if name in own else name for name in names]
        graph.initializer.extend(branch.initializer)
        graph.node.extend(branch.node)
        return best
    return None


@dataclass(frozen=True)
class _Deviation:
    """Largest deviation of one output: its size, its place, and how much is allowed."""

    size: float
    place: tuple[int, ...]
    allowed: float


def compare(
    expected: dict[str, Tensor],
    actual: dict[str, Tensor],
    after: onnx.ModelProto,
    promise: Contract = Contract.LOSSY,
    tolerance: float = 0.0,
    terms: Mapping[str, float] = MappingProxyType({}),
) -> tuple[float, str]:
    """Return the largest deviation over the outputs, and what is wrong ("" if the promise was kept).

    The deviation is infinite where names, shapes or kinds differ. `tolerance` is that of a rounding promise. In a graph
    with float16 constants, what reorders its sums moves its results as far as float16 does. `terms` says by output how
    large the terms are that it is a sum of: an output in which they cancel is as inexact as they are.
    """
    if list(expected) != list(actual):
        return float("inf"), f"outputs {list(expected)} were expected, the graph has {list(actual)}"
    declared = {output.name: output.type.tensor_type.shape for output in after.graph.output}
    promised = tolerance if promise is Contract.ROUNDING else EXACT_TOLERANCE
    if any(tensor.data_type == tensor.FLOAT16 for tensor in after.graph.initializer):
        promised = max(promised, HALF_NETWORK_TOLERANCE)
    worst = 0.0
    for name, value in expected.items():
        problem = _form_problem(name, _values(value), _values(actual[name]), declared[name])
        if problem:
            return float("inf"), problem
        relative = _relative_tolerance(value, promised)
        deviation = _deviation(value, _values(actual[name]), relative, relative * terms.get(name, 0.0))
        worst = max(worst, deviation.size)
        if promise is not Contract.LOSSY and not deviation.size <= deviation.allowed:
            where = ", ".join(map(str, deviation.place))
            return worst, (
                f"output {name!r} deviates by {deviation.size:.6g} at [{where}], and {deviation.allowed:.3g} is "
                f"allowed by its contract ({promise})"
            )
    return worst, ""


def _values(tensor: Tensor) -> NDArray[Any]:
    return tensor.values if isinstance(tensor, Labels) else tensor


def _relative_tolerance(expected: Tensor, promised: float) -> float:
    """Return the tolerance promised; in a narrow type both values may have been rounded to the next number."""
    floats = expected.logits if isinstance(expected, Labels) else expected
    rounding = 2 * float(np.finfo(floats.dtype.name).eps) if np.issubdtype(floats.dtype, np.floating) else 0.0
    return max(promised, rounding)


def _form_problem(name: str, expected: NDArray[Any], actual: NDArray[Any], declared: onnx.TensorShapeProto) -> str:
    if expected.shape != actual.shape:
        return f"output {name!r} has the shape {list(actual.shape)}, and {list(expected.shape)} was expected"
    fixed = [dim.dim_value for dim in declared.dim if dim.HasField("dim_value")]
    if len(fixed) == actual.ndim and fixed != list(actual.shape):
        return f"output {name!r} is declared as {fixed} and has the shape {list(actual.shape)}"
    if np.issubdtype(expected.dtype, np.floating) != np.issubdtype(actual.dtype, np.floating):
        return f"output {name!r} has the type {actual.dtype}, and {expected.dtype} was expected"
    return ""


def _deviation(expected: Tensor, actual: NDArray[Any], relative: float, least: float) -> _Deviation:
    """Compare two values; a difference of `least` is allowed, or of `relative` times the largest expected value."""
    if isinstance(expected, Labels):
        return _label_deviation(expected, actual, relative)
    if not np.issubdtype(expected.dtype, np.floating):
        difference = np.abs(expected.astype(np.int64) - actual.astype(np.int64))
        return _largest(difference.astype(np.float64), allowed=0.0)
    wide = np.float64 if expected.dtype == np.float64 else np.float32
    with np.errstate(invalid="ignore"):
        difference = np.array(np.abs(expected.astype(wide) - actual.astype(wide)))
    same = expected == actual  # infinities of the same sign are equal; their difference is not a number
    difference[same | (np.isnan(expected) & np.isnan(actual))] = 0
    allowed = max(relative * _magnitude(expected), least)
    return _largest(np.where(np.isnan(difference), np.inf, difference), allowed)


def _label_deviation(expected: Labels, actual: NDArray[Any], relative: float) -> _Deviation:
    """Measure labels that differ by how far apart their two logits are."""
    logits = np.moveaxis(expected.logits, expected.axis, -1)
    wanted = expected.values.reshape(logits.shape[:-1]).astype(np.int64)
    given = actual.reshape(logits.shape[:-1]).astype(np.int64)
    places = np.nonzero(wanted != given)
    if not places[0].size:
        return _Deviation(0.0, (), 0.0)
    if given.min() < 0 or given.max() >= logits.shape[-1]:
        place = np.argwhere((given < 0) | (given >= logits.shape[-1]))[0]
        return _Deviation(float("inf"), tuple(map(int, place)), 0.0)
    scores = logits[places].astype(np.float64)
    rows = np.arange(len(scores))
    best, other = scores[rows, wanted[places]], scores[rows, given[places]]
    with np.errstate(invalid="ignore"):
        gaps = np.where(best == other, 0.0, np.abs(best - other))  # infinities of the same sign tie
    gaps[np.isnan(gaps)] = np.inf
    worst = int(gaps.argmax())
    place = tuple(int(axis[worst]) for axis in places)
    return _Deviation(float(gaps[worst]), place, relative * _magnitude(expected.logits))


def _magnitude(values: NDArray[np.generic]) -> float:
    """Return the largest magnitude among the finite values, which a tolerance is relative to; 0 without any."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _largest(difference: NDArray[np.floating[Any]], allowed: float) -> _Deviation:
    if not difference.size:
        return _Deviation(0.0, (), allowed)
    index = int(difference.argmax())
    place = tuple(int(axis) for axis in np.unravel_index(index, difference.shape))
    return _Deviation(float(difference.reshape(-1)[index]), place, allowed)


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
    return ContractBreachError(
        f"the pass {item.name} broke its contract: {problem}; both graphs and the input are in {folder}", folder
    )
