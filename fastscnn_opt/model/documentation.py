"""Carries documentation, metadata and denotations from the parts of a model to those that take their places."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import onnx

_Documented = TypeVar(
    "_Documented", "onnx.NodeProto", "onnx.TensorProto", "onnx.ValueInfoProto", "onnx.GraphProto", "onnx.FunctionProto"
)


def document(before: _Documented, message: _Documented) -> None:
    """Give `message` the documentation and metadata of the message that was in its place `before`."""
    if before.doc_string or message.doc_string:
        message.doc_string = before.doc_string
    del message.metadata_props[:]
    message.metadata_props.extend(before.metadata_props)


def document_value(before: onnx.ValueInfoProto, message: onnx.ValueInfoProto) -> None:
    """Give the declaration of a tensor the documentation, metadata and denotations of that `before`."""
    document(before, message)
    if before.type.denotation:
        message.type.denotation = before.type.denotation
    _denote(before.type.tensor_type.shape, message.type.tensor_type.shape)


def _denote(before: onnx.TensorShapeProto, shape: onnx.TensorShapeProto) -> None:
    """Give the dimensions of `shape` the denotations of those `before`, unless they were moved."""
    sizes = [[(dim.dim_value, dim.dim_param) for dim in dims.dim] for dims in (before, shape)]
    moved = sizes[0] != sizes[1] and sorted(sizes[0]) == sorted(sizes[1])
    if moved or len(sizes[0]) != len(sizes[1]):
        return
    for old, new in zip(before.dim, shape.dim, strict=True):
        if old.denotation:
            new.denotation = old.denotation
