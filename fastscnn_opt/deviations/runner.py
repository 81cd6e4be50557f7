"""Run a model so that it returns tensors from inside the graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.deviations.graph import PlainGraph, with_all_dequantised
from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.engine import engine_errors, open_model, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import onnx
    import onnxruntime as ort
    from numpy.typing import NDArray

_FLOATS = {"tensor(float16)": 2, "tensor(float)": 4, "tensor(double)": 8}
"""Bytes of an element."""

_PART_BYTES = 256 << 20
"""Bytes of the tensors that a run returns, so that memory stays bounded for networks of any depth."""

_OPEN_BYTES = 64 << 20
"""Assumed size of a tensor whose shape is open."""


class InnerRunner:
    """Runs one of the two models in ONNX Runtime on the CPU; `where` names it in errors.

    Attributes
    ----------
    graph
        Its graph.
    forms
        Type and shape of every float tensor in the graph, by name.
    """

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self.model, self.where = with_all_dequantised(model), where
        self.graph = graph = PlainGraph(self.model)
        session = self._open([*graph.tensors, *map(graph.read_as, graph.tensors)])
        values = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
        forms = {name: values[graph.read_as(name)] for name in graph.tensors}
        self.forms = {name: form for name, form in forms.items() if form.type in _FLOATS}
        self._quantised = {name for name in self.forms if values[name].type not in _FLOATS}

    def opened(
        self, names: Sequence[str], replaced: tuple[str, np.dtype[Any]] | None = None
    ) -> Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]:
        """Return a function from feeds to the values of the tensors `names`; it raises ModelError.

        The tensor `replaced`, as `replaceable` returns it, is an input of the graph.
        """
        session = self._open([self.graph.read_as(name) for name in names], replaced)
        outputs = [value.name for value in session.get_outputs()]

        def run(feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
            try:
                values = session.run(outputs, dict(feeds)) if outputs else []
            except engine_errors() as error:
                raise ModelError(f"onnxruntime fails on the graph ({reason_of(error)})", where=self.where) from error
            found = dict(feeds) | dict(zip(outputs, values, strict=True))
            return [found[self.graph.read_as(name)] for name in names]

        return run

    def replaceable(self, name: str) -> tuple[str, np.dtype[Any]]:
        """Return the tensor that can be given in place of a float tensor, and its type."""
        kind = np.dtype(f"f{_FLOATS[self.forms[name].type]}")
        return self.graph.read_as(name) if name in self._quantised else name, kind

    def _open(self, tensors: Sequence[str], replaced: tuple[str, np.dtype[Any]] | None = None) -> ort.InferenceSession:
        """Open the model with `tensors`, apart from its inputs, as outputs."""
        import onnx

        exposed = onnx.ModelProto()
        exposed.CopyFrom(self.model)
        inputs = {value.name for value in exposed.graph.input}
        if replaced is not None and replaced[0] not in inputs:
            tensor, dtype = replaced
            for node in exposed.graph.node:
                node.output[:] = [f"{name} before" if name == tensor else name for name in node.output]
            kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
            exposed.graph.input.append(onnx.helper.make_tensor_value_info(tensor, kind, None))
            inputs.add(tensor)
            del exposed.graph.value_info[:]
        wanted = [name for name in dict.fromkeys(tensors) if name not in inputs]
        del exposed.graph.output[:]
        exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        try:
            return open_model(exposed)
        except ModelError as error:
            raise error.within(self.where) from None


def parts(pairs: Mapping[str, str], first: InnerRunner, second: InnerRunner) -> Iterator[dict[str, str]]:
    """Yield the pairs in parts whose values fit into memory together."""
    part: dict[str, str] = {}
    held = 0
    for name, other in pairs.items():
        size = _bytes(first.forms[name]) + _bytes(second.forms[other])
        if part and held + size > _PART_BYTES:
            yield part
            part, held = {}, 0
        part[name] = other
        held += size
    if part:
        yield part


def _bytes(form: ort.NodeArg) -> int:
    sizes = [size for size in form.shape if isinstance(size, int)]
    return math.prod(sizes) * _FLOATS[form.type] if len(sizes) == len(form.shape) else _OPEN_BYTES
