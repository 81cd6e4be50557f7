"""Attributes and initializers: whether two are equal, and how one is shown."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.model.element_types import bits_of, type_name
from fastscnn_opt.model.external_data import values_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import onnx
    from numpy.typing import NDArray

_SHOWN_ELEMENTS = 8
"""A tensor with at most this many elements is shown in full."""

_CHUNK = 1 << 20
"""Elements that are compared at a time, so that a large initializer is not copied to float64 as a whole."""


class Weight:
    """A constant tensor, dense or sparse: an initializer, or the value of an attribute."""

    def __init__(self, proto: onnx.TensorProto | onnx.SparseTensorProto) -> None:
        self.proto = proto
        self.is_sparse = hasattr(proto, "indices")
        dense = proto.values if self.is_sparse else proto
        self.name: str = dense.name
        self.shape = tuple(proto.dims)
        self.type = ("sparse " if self.is_sparse else "") + type_name(dense.data_type)

    @cached_property
    def key(self) -> Hashable:
        """A hash of type, shape and elements, without the name."""
        return self.type, self.shape, hashlib.blake2b(self._bytes(), digest_size=16).digest()

    def same(self, other: Weight) -> bool:
        """Return whether `other` has the same type, shape and elements."""
        if (self.type, self.shape) != (other.type, other.shape):
            return False
        return self.proto is other.proto or self._bytes() == other._bytes()

    def _bytes(self) -> bytes:
        if self.is_sparse:
            parts = (Weight(self.proto.values), Weight(self.proto.indices))
            return b"".join(part._bytes() for part in parts)
        if self.proto.string_data:
            return b"".join(len(text).to_bytes(8) + text for text in self.proto.string_data)
        fills_bytes = bits_of(self.proto.data_type) % 8 == 0  # else several elements share a byte, or pad one
        return bytes(self.proto.raw_data) if self.proto.raw_data and fills_bytes else self.array().tobytes()

    def array(self) -> NDArray[Any]:
        """Return the elements of a dense tensor; text as bytes, which need not be UTF-8."""
        if self.proto.string_data:
            return np.array(list(self.proto.string_data), dtype=object).reshape(self.shape)
        return values_of(self.proto)

    def largest_difference(self, other: Weight) -> float | None:
        """Return the largest absolute difference of two tensors of equal shape; None if it is not a finite number."""
        if self.is_sparse or other.is_sparse:
            return None
        one, two = self.array().reshape(-1), other.array().reshape(-1)
        if one.dtype.hasobject or two.dtype.hasobject:
            return None
        parts = (
            _largest_difference(one[start : start + _CHUNK], two[start : start + _CHUNK])
            for start in range(0, one.size, _CHUNK)
        )
        largest = max(parts, default=0.0)
        return largest if np.isfinite(largest) else None

    def __str__(self) -> str:
        head = f"{self.type} {list(self.shape)}"
        if self.is_sparse or np.prod(self.shape) > _SHOWN_ELEMENTS:
            return head
        return f"{head} {{{', '.join(str(_plain(value)) for value in self.array().reshape(-1).tolist())}}}"


def _largest_difference(one: NDArray[Any], two: NDArray[Any]) -> float:
    """Return the largest absolute difference; infinite if only one of two elements is not a number."""
    if one.dtype.kind in "iu" and two.dtype.kind in "iu":
        high, low = np.maximum(one, two), np.minimum(one, two)
        return float((high.astype(np.uint64) - low.astype(np.uint64)).max(initial=0))  # exact, modulo 2^64
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    one, two = one.astype(wide), two.astype(wide)
    with np.errstate(invalid="ignore"):
        difference = np.abs(one - two)
    difference[(one == two) | (np.isnan(one) & np.isnan(two))] = 0  # equal infinities, and NaN on both sides
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0))


@dataclass(frozen=True)
class Attribute:
    """The value of an attribute; `written` is false for a default of ONNX that the file leaves out."""

    proto: onnx.AttributeProto
    key: Hashable
    written: bool = True

    @property
    def graphs(self) -> list[onnx.GraphProto]:
        """The subgraphs in the value."""
        return [self.proto.g] if self.proto.HasField("g") else list(self.proto.graphs)

    @property
    def shown(self) -> Any:
        """The value as JSON can hold it: numbers, texts, lists, and tensors in words."""
        from onnx.helper import get_attribute_value

        if self.proto.ref_attr_name:
            return f"the function's {self.proto.ref_attr_name}"
        if self.graphs:
            return f"graph of {sum(len(graph.node) for graph in self.graphs)} nodes"
        value = get_attribute_value(self.proto)
        many = isinstance(value, (list, tuple)) or type(value).__name__.startswith("Repeated")
        return [_plain(item) for item in value] if many else _plain(value)

    @property
    def weight(self) -> Weight | None:
        """The tensor, if the value is one."""
        return _tensor_in(self.proto)


def _tensor_in(proto: onnx.AttributeProto) -> Weight | None:
    for field in ("t", "sparse_tensor"):
        if proto.HasField(field):
            return Weight(getattr(proto, field))
    return None


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):  # the file holds float32: show 0.01, not 0.009999999776
        return float(str(np.float32(value))) if np.isfinite(value) else str(value)
    if isinstance(value, (bool, int, str)):
        return value
    return str(Weight(value)) if hasattr(value, "dims") else str(value).strip()


def read_attributes(node: onnx.NodeProto, opsets: Mapping[str, int]) -> dict[str, Attribute]:
    """Return the attributes of a node by name, with ONNX's defaults for those that the file leaves out."""
    found = dict(_defaults(node.op_type, node.domain, opsets.get(node.domain, 0)))
    for proto in node.attribute:
        found[proto.name] = Attribute(proto, _key(proto))
    return found


@cache
def _defaults(op: str, domain: str, version: int) -> dict[str, Attribute]:
    """Return the default attributes of an operator; none if ONNX does not know the operator."""
    import onnx

    try:
        schema = onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return {}
    protos = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return {name: Attribute(proto, _key(proto), written=False) for name, proto in protos.items() if proto.type}


def _key(proto: onnx.AttributeProto) -> Hashable:
    """Return a key that equal values share, whatever names their tensors have.

    Subgraphs are compared node by node later, so only their operators count here.
    """
    if tensor := _tensor_in(proto):
        return tensor.key
    graphs = [proto.g] if proto.HasField("g") else proto.graphs
    if graphs:
        return tuple(tuple(sorted(node.op_type for node in graph.node)) for graph in graphs)
    if proto.doc_string:
        documented, proto = proto, type(proto)()
        proto.CopyFrom(documented)
        proto.ClearField("doc_string")
    return bytes(proto.SerializeToString(deterministic=True))
