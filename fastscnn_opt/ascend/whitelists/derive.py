"""Derive a white-list patch from a profile of a run, or from a model alone."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.ascend import chip
from fastscnn_opt.ascend.chip import FROM_NCHW, TO_NCHW
from fastscnn_opt.ascend.profile.tables import read_op_summary
from fastscnn_opt.ascend.whitelists.patchfile import NAME, Edit, Patch, WhiteListEntry, shipped
from fastscnn_opt.ascend.whitelists.plan import locate
from fastscnn_opt.errors import PatchError
from fastscnn_opt.linting.graph import Graph, attribute, open_graph
from fastscnn_opt.model.loading import load_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import onnx

    from fastscnn_opt.ascend.chip import ListedShape
    from fastscnn_opt.ascend.profile.tables import OperatorRun

TEMPLATE = "cann-5.0.2"
"""The shipped patch whose statements a derived patch extends."""

BYTE_TYPES = ("int8", "uint8", "bool")
"""Types whose layout other functions convert (`five_2_four_int8`, `four_2_five_int8`)."""


@dataclass(frozen=True)
class NotListed:
    """A tensor or conversion that was not listed, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Derived:
    """A derived patch, and what was left out of it."""

    patch: Patch
    skipped: tuple[NotListed, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the patch, with what was left out of it under ``skipped``."""
        return self.patch.model_dump(mode="json") | {"skipped": [asdict(skip) for skip in self.skipped]}


@dataclass(frozen=True)
class _LayoutConversion:
    """A conversion of layouts that a white list can speed up: what to list, and why."""

    listed: ListedShape
    why: str
    time_us: float = 0.0


def from_profile(runs: Iterable[OperatorRun], source: str, name: str) -> Derived:
    """Return a patch named `name` with the NCHW side of every TransData in a profile, the costliest first.

    A conversion to NCHW lists its output shape in `five_2_four`; one from NCHW its input shape in `four_2_five`, which
    takes float16 only. `source` names the profile in the reasons.

    Raises
    ------
    PatchError
        The profile has no such conversion.
    """
    found = [_conversion(run) for run in runs if run.op_type == "TransData"]
    conversions = []
    for listed, group in _by_shape(found).items():
        total_us = sum(conversion.time_us for conversion in group)
        time = f"{total_us:.1f} us" if total_us else "time unknown"
        first = f"{len(group)} runs, first {group[0].why}" if len(group) > 1 else group[0].why
        conversions.append(_LayoutConversion(listed, f"{time} in {source} ({first})", total_us))
    conversions.sort(key=lambda conversion: -conversion.time_us)
    return _derived(name, f"TransData shapes of {source}", conversions, found, source)


def from_model(model: onnx.ModelProto, batch: int, source: str, name: str) -> Derived:
    """Return a patch named `name` with the NCHW shapes that a model forces at one batch size.

    Those are the graph outputs (`five_2_four`), the graph inputs (`four_2_five`), and what enters and leaves an
    AveragePool or bilinear Resize that does not run on the AI Core; `chip` has the limits.

    Raises
    ------
    PatchError
        The model has no such tensor with known extents.
    """
    found = list(_boundary_conversions(open_graph(model), batch))
    conversions = [
        _LayoutConversion(listed, "; ".join(dict.fromkeys(conversion.why for conversion in group)))
        for listed, group in _by_shape(found).items()
    ]
    return _derived(name, f"TransData shapes of {source}, batch {batch}", conversions, found, source)


def from_profile_file(table: Path, name: str) -> Derived:
    """Read an op_summary table and return what `from_profile` makes of it. Raises UserError."""
    return from_profile(read_op_summary(table).lines, table.name, name)


def from_model_file(model: Path, batch: int, name: str) -> Derived:
    """Read an ONNX file and return what `from_model` makes of it. Raises UserError."""
    return from_model(load_model(model), batch, model.name, name)


def without_listed(derived: Derived, impl: Path) -> Derived:
    """Return the patch without the shapes that the tree lists already.

    Raises
    ------
    PatchError
        A statement is not found in the tree, or every shape is listed.
    """
    edits = []
    skipped = list(derived.skipped)
    for edit in derived.patch.edits:
        listed = locate(impl, edit).shapes
        skipped += [
            NotListed(f"{edit.function}: {list(shape)}", f"{impl / edit.file} lists it")
            for shape in edit.shapes
            if shape in listed
        ]
        edits.append(edit.with_shapes(tuple(shape for shape in edit.shapes if shape not in listed)))
    unlisted = tuple(edit for edit in edits if edit.entries)
    if not unlisted:
        raise PatchError("lists every shape already, so there is nothing to patch", where=impl)
    return Derived(derived.patch.model_copy(update={"edits": unlisted}), tuple(skipped))


def _conversion(run: OperatorRun) -> _LayoutConversion | NotListed:
    source = next(iter(run.inputs), None)
    result = next(iter(run.outputs), None)
    if source is None or result is None or "NCHW" not in (source.format, result.format):
        return NotListed(run.name, "neither its input nor its output is NCHW")
    to_nchw = result.format == "NCHW"
    listed, other = (result, source) if to_nchw else (source, result)
    function = TO_NCHW if to_nchw else FROM_NCHW
    if other.format.startswith("FRACTAL"):
        return NotListed(run.name, f"{other.format} is converted by another function")
    if listed.shape is None or len(listed.shape) != 4:
        return NotListed(run.name, f"{function} converts 4-D tensors only, this one is {_extents(listed.shape)}")
    if listed.dtype in BYTE_TYPES or (not to_nchw and listed.dtype != "float16"):
        return NotListed(run.name, f"the list of {function} is not consulted for {listed.dtype or 'an unknown type'}")
    if min(listed.shape) < 1:
        return NotListed(run.name, f"{_extents(listed.shape)} is empty or not known before the run")
    return _LayoutConversion((function, listed.shape), run.name, run.aicore_time_us or run.duration_us or 0.0)


def _extents(shape: tuple[int, ...] | None) -> str:
    return "of unknown shape" if shape is None else f"{len(shape)}-D {list(shape)}"


def _boundary_conversions(graph: Graph, batch: int) -> Iterator[_LayoutConversion | NotListed]:
    """Yield the conversions where NCHW and the device's own layout meet."""

    def convert(function: str, tensor: str, why: str) -> _LayoutConversion | NotListed:
        shape = _nchw(graph, tensor, batch)
        if isinstance(shape, str):
            return NotListed(f"{function}: {tensor}", shape)
        return _LayoutConversion((function, shape), why)

    for value in graph.outputs:
        yield convert(TO_NCHW, value.name, f"graph output {value.name} is NCHW")
    for value in graph.inputs:
        yield convert(FROM_NCHW, value.name, f"graph input {value.name} is NCHW")
    for node in graph.nodes:
        if reason := _why_off_core(graph, node):
            where = f"{node.op_type} {node.name or node.output[0]}, which leaves the AI Core: {reason}"
            yield convert(TO_NCHW, node.input[0], f"input of {where}")
            yield convert(FROM_NCHW, node.output[0], f"output of {where}")


def _nchw(graph: Graph, tensor: str, batch: int) -> tuple[int, ...] | str:
    """Return the extents of a 4-D float tensor at the given batch size, or why it has none."""
    shape, dtype = graph.shape(tensor), graph.dtype(tensor)
    if shape is None:
        return "its shape cannot be inferred; run the pass 'simplify' first"
    if dtype not in ("float32", "float16"):
        return f"it holds {dtype or 'an unknown type'}, and the lists are for float tensors"
    if len(shape) != 4:
        return f"it has {len(shape)} axes, and only 4-D tensors are converted"
    old_batch = next((graph.shape(value.name) or () for value in graph.inputs), ())[:1]
    if shape[:1] != old_batch:
        return f"its first extent {shape[0] or '?'} is not the batch size {old_batch[0] or '?' if old_batch else '?'}"
    known = tuple(extent for extent in shape[1:] if extent)
    if len(known) < 3:
        return "its extents are not all known; run the pass 'static-shape' first"
    return (batch, *known)


def _why_off_core(graph: Graph, node: onnx.NodeProto) -> str:
    """Return why a node leaves the AI Core; empty if it does not."""
    if node.op_type == "AveragePool":
        kernel, strides = attribute(node, "kernel_shape", ()), attribute(node, "strides", ())
        return " and ".join(chip.average_pool_obstacles(kernel, strides))
    if node.op_type == "Resize" and attribute(node, "mode") == "linear":
        sides = [(graph.shape(tensor) or ())[2:] for tensor in (node.input[0], node.output[0])]
        return chip.bilinear_obstacle([side or 0 for pair in sides for side in pair])
    return ""


def _by_shape(found: Iterable[_LayoutConversion | NotListed]) -> dict[ListedShape, list[_LayoutConversion]]:
    groups: dict[ListedShape, list[_LayoutConversion]] = {}
    for conversion in found:
        if isinstance(conversion, _LayoutConversion):
            groups.setdefault(conversion.listed, []).append(conversion)
    return groups


def _derived(
    name: str,
    summary: str,
    conversions: Sequence[_LayoutConversion],
    found: Iterable[_LayoutConversion | NotListed],
    source: str,
) -> Derived:
    if not re.search(NAME, name):
        raise PatchError(f"{name!r} cannot name a patch", cure="take one word of letters, digits and . _ + -")
    skipped = tuple(item for item in found if isinstance(item, NotListed))
    template = shipped()[TEMPLATE]
    edits = []
    for edit in template.edits:
        entries = tuple(
            WhiteListEntry(shape=shape, why=conversion.why)
            for conversion in conversions
            for function, shape in [conversion.listed]
            if function == edit.function
        )
        if entries:
            edits.append(Edit(**edit.model_dump(exclude={"entries", "note"}), entries=entries))
    if not edits:
        why = f" ({skipped[0].what}: {skipped[0].why})" if skipped else ""
        raise PatchError(
            f"nothing in it converts to or from NCHW in a way that a white list changes{why}", where=source
        )
    return Derived(Patch(name=name, summary=summary, versions=template.versions, edits=tuple(edits)), skipped)
