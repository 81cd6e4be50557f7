"""Makes inputs and outputs of types that numpy does not have, such as bfloat16 and int4, ones that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx
    from numpy.typing import DTypeLike, NDArray

_INPUT, _OUTPUT = "fastscnn_opt/wide_input/", "fastscnn_opt/wide_output/"


class WideInterface:
    """A model whose inputs and outputs of types that numpy does not have are behind a Cast of a wider type.

    Attributes
    ----------
    model
        The model itself if it has no such inputs and outputs.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        self._inputs, self._outputs = _narrow(model.graph.input), _narrow(model.graph.output)
        if not self._inputs and not self._outputs:
            self.model = model
            return
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        nodes = list(graph.node)
        for value in graph.input:
            if value.name in self._inputs:
                narrow, wide = value.type.tensor_type.elem_type, element_type_of(self._inputs[value.name])
                nodes.insert(0, onnx.helper.make_node("Cast", [_INPUT + value.name], [value.name], to=narrow))
                value.name, value.type.tensor_type.elem_type = _INPUT + value.name, wide
        for value in graph.output:
            if value.name in self._outputs:
                wide = element_type_of(self._outputs[value.name])
                nodes.append(onnx.helper.make_node("Cast", [value.name], [_OUTPUT + value.name], to=wide))
                value.name, value.type.tensor_type.elem_type = _OUTPUT + value.name, wide
        del graph.node[:]
        graph.node.extend(nodes)

    def feed(self, name: str, values: NDArray[Any]) -> tuple[str, NDArray[Any]]:
        """Return the input that stands for the input `name`, and its values."""
        if name not in self._inputs:
            return name, values
        return _INPUT + name, values.astype(_wide(self._inputs[name]))

    def output(self, name: str) -> str:
        """Return the output that stands for the output `name`."""
        return _OUTPUT + name if name in self._outputs else name

    def read(self, name: str, values: Any) -> Any:
        """Return the values of the output `name` in its own type."""
        return values.astype(self._outputs[name]) if name in self._outputs else values


def is_float(dtype: np.dtype[Any]) -> bool:
    """Tell whether a type is one of floats, numpy's or not."""
    return bool(np.issubdtype(dtype, np.floating)) or dtype.name.startswith(("float", "bfloat"))


def element_type_of(dtype: np.dtype[Any]) -> int:
    """Return the number of the type that a narrow type is widened to."""
    import onnx

    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(_wide(dtype))))


def _wide(dtype: np.dtype[Any]) -> DTypeLike:
    return np.float32 if is_float(dtype) else np.uint8 if dtype.name.startswith("u") else np.int8


def _narrow(values: Iterable[onnx.ValueInfoProto]) -> dict[str, np.dtype[Any]]:
    """Return the tensors of types that numpy does not have, with these types."""
    import onnx

    tensors = {value.name: value.type.tensor_type.elem_type for value in values if value.type.HasField("tensor_type")}
    types = {name: onnx.helper.tensor_dtype_to_np_dtype(number) for name, number in tensors.items() if number}
    return {name: dtype for name, dtype in types.items() if dtype.kind == "V" or dtype.isbuiltin == 2}
