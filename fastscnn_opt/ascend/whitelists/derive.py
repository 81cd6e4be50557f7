"""Derive a white-list patch from a profile of a run, or from a model alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fastscnn_opt.ascend import chip
from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource
from fastscnn_opt.ascend.whitelists.patchfile import NAME, Edit, Entry, Patch, shipped
from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import onnx

TEMPLATE = "cann-5.0.2"
"""The shipped patch whose statements a derived patch extends."""

BYTE_TYPES = ("int8", "uint8", "bool")
"""Types whose layout other functions convert (`five_2_four_int8`, `four_2_five_int8`)."""


class Tensor(Protocol):
    """A tensor as a profile names it: shape (None if unknown), type such as ``float16``, format such as ``NCHW``."""

    @property
    def shape(self) -> tuple[int, ...] | None: ...  # noqa: D102 - described by the class
    @property
    def dtype(self) -> str: ...  # noqa: D102 - described by the class
    @property
    def format(self) -> str: ...  # noqa: D102 - described by the class


class Run(Protocol):
    """An executed operator as a profile names it; times in microseconds."""

    @property
    def name(self) -> str: ...  # noqa: D102 - described by the class
    @property
    def op_type(self) -> str: ...  # noqa: D102 - described by the class
    @property
    def duration_us(self) -> float | None: ...  # noqa: D102 - described by the class
    @property
    def aicore_time_us(self) -> float | None: ...  # noqa: D102 - described by the class
    @property
    def inputs(self) -> Sequence[Tensor]: ...  # noqa: D102 - described by the class
    @property
    def outputs(self) -> Sequence[Tensor]: ...  # noqa: D102 - described by the class


@dataclass(frozen=True)
class Skipped:
    """Something that was not listed, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Derived:
    """A derived patch, and what was left out of it."""

    patch: Patch
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Wish:
    function: str
    shape: tuple[int, ...]
    why: str
    time_us: float = 0.0


def from_profile(runs: Iterable[Run], source: str, name: str) -> Derived:
    """Return a patch named `name` with the NCHW side of every TransData in a profile, the costliest first.

    A conversion to NCHW lists its output shape in `five_2_four`; one from NCHW its input shape in `four_2_five`, which
    takes float16 only. `source` names the profile in the reasons.

    Raises
    ------
    PatchError
        The profile has no such conversion.
    """
    wishes: list[_Wish] = []
    skipped: list[Skipped] = []
    for run in runs:
        if run.op_type == "TransData":
            found = _conversion(run)
            if isinstance(found, _Wish):
                wishes.append(found)
            else:
                skipped.append(found)
    return _derived(name, f"TransData shapes of {source}", _summed(wishes, source), skipped, source)


def from_model(model: onnx.ModelProto, batch: int, source: str, name: str) -> Derived:
    """Return a patch named `name` with the NCHW shapes that a model forces at one batch size.

    Those are the graph outputs (`five_2_four`), the graph inputs (`four_2_five`), and what enters and leaves an
    AveragePool or bilinear Resize that does not run on the AI Core; `chip` has the limits.

    Raises
    ------
    PatchError
        The model has no such tensor with known extents.
    """
    from fastscnn_opt.model.shapes import infer_shapes

    wishes: list[_Wish] = []
    skipped: list[Skipped] = []
    graph = infer_shapes(model).graph
    shapes = _Shapes(graph, batch)
    for function, tensor, why in _crossings(graph, shapes):
        shape = shapes.nchw(tensor)
        if isinstance(shape, str):
            skipped.append(Skipped(f"{function}: {tensor}", shape))
        else:
            wishes.append(_Wish(function, shape, why))
    return _derived(name, f"TransData shapes of {source}, batch {batch}", _merged(wishes), skipped, source)


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
        path = impl / edit.file
        try:
            listed = OperatorSource(path.read_bytes(), str(path)).find(edit).shapes
        except OSError as error:
            raise PatchError(f"cannot be read: {error.strerror}", where=path) from error
        skipped += [
            Skipped(f"{edit.function}: {list(shape)}", f"{path} lists it") for shape in edit.shapes if shape in listed
        ]
        edits.append(edit.with_shapes(tuple(shape for shape in edit.shapes if shape not in listed)))
    kept = tuple(edit for edit in edits if edit.entries)
    if not kept:
        raise PatchError("lists every shape already, so there is nothing to patch", where=impl)
    return Derived(derived.patch.model_copy(update={"edits": kept}), tuple(skipped))


def _conversion(run: Run) -> _Wish | Skipped:
    source = next(iter(run.inputs), None)
    result = next(iter(run.outputs), None)
    if source is None or result is None or "NCHW" not in (source.format, result.format):
        return Skipped(run.name, "neither its input nor its output is NCHW")
    to_nchw = result.format == "NCHW"
    listed, other = (result, source) if to_nchw else (source, result)
    function = "five_2_four" if to_nchw else "four_2_five"
    if other.format.startswith("FRACTAL"):
        return Skipped(run.name, f"{other.format} is converted by another function")
    if listed.shape is None or len(listed.shape) != 4:
        return Skipped(run.name, f"{function} converts 4-D tensors only, this one is {_extents(listed.shape)}")
    if listed.dtype in BYTE_TYPES or (not to_nchw and listed.dtype != "float16"):
        return Skipped(run.name, f"the list of {function} is not consulted for {listed.dtype or 'an unknown type'}")
    if min(listed.shape) < 1:
        return Skipped(run.name, f"{_extents(listed.shape)} is empty or not known before the run")
    return _Wish(function, listed.shape, run.name, run.aicore_time_us or run.duration_us or 0.0)


def _extents(shape: tuple[int, ...] | None) -> str:
    return "of unknown shape" if shape is None else f"{len(shape)}-D {list(shape)}"


def _summed(wishes: Sequence[_Wish], source: str) -> list[_Wish]:
    """Make one wish of the runs that share a shape: their times add up, and the costliest shape comes first."""
    groups: dict[tuple[str, tuple[int, ...]], list[_Wish]] = {}
    for wish in wishes:
        groups.setdefault((wish.function, wish.shape), []).append(wish)
    summed = []
    for (function, shape), group in groups.items():
        total = sum(wish.time_us for wish in group)
        runs = f"{len(group)} runs, first {group[0].why}" if len(group) > 1 else group[0].why
        time = f"{total:.1f} us" if total else "time unknown"
        summed.append(_Wish(function, shape, f"{time} in {source} ({runs})", total))
    return sorted(summed, key=lambda wish: -wish.time_us)


def _merged(wishes: Sequence[_Wish]) -> list[_Wish]:
    """Make one wish of those that share a shape, with every reason."""
    reasons: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for wish in wishes:
        reasons.setdefault((wish.function, wish.shape), []).append(wish.why)
    return [_Wish(function, shape, "; ".join(dict.fromkeys(why))) for (function, shape), why in reasons.items()]


def _derived(name: str, summary: str, wishes: Sequence[_Wish], skipped: Sequence[Skipped], source: str) -> Derived:
    if not re.search(NAME, name):
        raise PatchError(f"{name!r} cannot name a patch", cure="take one word of letters, digits and . _ + -")
    template = shipped()[TEMPLATE]
    edits = []
    for edit in template.edits:
        entries = tuple(Entry(shape=wish.shape, why=wish.why) for wish in wishes if wish.function == edit.function)
        if entries:
            edits.append(Edit(**edit.model_dump(exclude={"entries", "note"}), entries=entries))
    if not edits:
        why = f" ({skipped[0].what}: {skipped[0].why})" if skipped else ""
        raise PatchError(
            f"nothing in it converts to or from NCHW in a way that a white list changes{why}", where=source
        )
    return Derived(Patch(name=name, summary=summary, versions=template.versions, edits=tuple(edits)), tuple(skipped))


class _Shapes:
    """The shapes of a graph's tensors, with the batch dimension replaced."""

    def __init__(self, graph: onnx.GraphProto, batch: int) -> None:
        constants = {tensor.name for tensor in graph.initializer}
        self.inputs = [value for value in graph.input if value.name not in constants]
        self.outputs = list(graph.output)
        self._values = {value.name: value for value in (*graph.value_info, *self.inputs, *self.outputs)}
        self._batch = batch
        self._old_batch = _dimensions(self.inputs[0])[:1] if self.inputs else []

    def nchw(self, name: str) -> tuple[int, ...] | str:
        """Return the extents of a 4-D float tensor at the batch size at hand, or why it has none."""
        import onnx

        value = self._values.get(name)
        dimensions = _dimensions(value) if value is not None else []
        if value is None or not value.type.tensor_type.HasField("shape"):
            return "its shape cannot be inferred; run the pass 'simplify' first"
        kind = value.type.tensor_type.elem_type
        if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
            return f"it holds {onnx.TensorProto.DataType.Name(kind).lower()}, and the lists are for float tensors"
        if len(dimensions) != 4:
            return f"it has {len(dimensions)} axes, and only 4-D tensors are converted"
        if dimensions[:1] != self._old_batch:
            return f"its first extent {dimensions[0]} is not the batch size {self._old_batch[0]}"
        if not all(isinstance(extent, int) and extent > 0 for extent in dimensions[1:]):
            return f"its extents {dimensions} are not all known; fix the input size first"
        return (self._batch, *(int(extent) for extent in dimensions[1:]))

    def plane(self, name: str) -> tuple[int, ...]:
        """Return H and W of a tensor as far as they are known."""
        value = self._values.get(name)
        return tuple(
            extent for extent in (_dimensions(value)[2:] if value is not None else ()) if isinstance(extent, int)
        )


def _dimensions(value: onnx.ValueInfoProto) -> list[int | str]:
    return [
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    ]


def _crossings(graph: onnx.GraphProto, shapes: _Shapes) -> Iterator[tuple[str, str, str]]:
    """Yield where NCHW and NC1HWC0 meet: the function that converts there, the tensor, and why it does."""
    for value in shapes.outputs:
        yield "five_2_four", value.name, f"graph output {value.name} is NCHW"
    for value in shapes.inputs:
        yield "four_2_five", value.name, f"graph input {value.name} is NCHW"
    for node in graph.node:
        if reason := _leaves_ai_core(node, shapes):
            label = f"{node.op_type} {node.name or node.output[0]}"
            yield "five_2_four", node.input[0], f"input of {label}, which leaves the AI Core: {reason}"
            yield "four_2_five", node.output[0], f"output of {label}, which leaves the AI Core: {reason}"


def _leaves_ai_core(node: onnx.NodeProto, shapes: _Shapes) -> str:
    """Return why a node leaves the AI Core; empty if it does not."""
    import onnx

    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "AveragePool":
        kernel, strides = attributes.get("kernel_shape", ()), attributes.get("strides", ())
        return " and ".join(chip.average_pool_obstacles(kernel, strides))
    if node.op_type == "Resize" and attributes.get("mode") == b"linear":
        return chip.bilinear_obstacle((*shapes.plane(node.input[0]), *shapes.plane(node.output[0])))
    return ""
