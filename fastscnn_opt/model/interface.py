"""Reads the operator set, the inputs and the inner graphs of a model."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from fastscnn_opt.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx


ONNX_DOMAINS = (None, "", "ai.onnx")
"""The ways in which a node can say that its operator is one of ONNX itself; None is graphsurgeon's."""


def operator_name(operator: str, domain: str | None) -> str:
    """Return the name by which the operator of a node is recognised.

    An operator of another domain that is called like one of ONNX has its domain in front, as in ``vendor.Resize``, so
    that nobody takes it for the other.
    """
    return f"{domain}.{operator}" if domain not in ONNX_DOMAINS and is_onnx_operator(operator) else operator


def operator_of(node: onnx.NodeProto) -> str:
    """Return the name by which the operator of `node` is recognised; see `operator_name`."""
    return operator_name(node.op_type, node.domain)


def plain_operator(name: str, domain: str | None) -> str:
    """Return the operator that `operator_name` made `name` of, as a file has it."""
    return name.removeprefix(f"{domain}.") if domain else name


def is_onnx_operator(operator: str) -> bool:
    """Tell whether any version of ONNX itself defines an operator of that name."""
    return operator in _onnx_operators()


@cache
def _onnx_operators() -> frozenset[str]:
    """Return the names of the operators that ONNX itself has defined in any version."""
    import onnx

    return frozenset(
        schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain in ONNX_DOMAINS
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set."""
    return max(int(opset.version) for opset in model.opset_import if opset.domain in ONNX_DOMAINS)


OLDEST_IR = 4
"""From this IR version on, an initializer is a constant, unless it is an input of the graph as well."""


def inputs_with_defaults(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller need not feed, because initializers have their values."""
    initialized = {tensor.name for tensor in model.graph.initializer} if model.ir_version >= OLDEST_IR else ()
    return [value for value in model.graph.input if value.name in initialized]


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller feeds: those without an initializer."""
    initialized = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initialized]


def static_shape(inputs: Mapping[str, Sequence[object] | None]) -> str:
    """Return the pass that fixes the open dimensions of `inputs`, shapes by name; "" if none is open.

    A dimension that is no positive number is open. It is shown as that of one image of 512x1024.
    """
    texts = {name: _with_example_sizes(shape) for name, shape in inputs.items() if not _is_fixed(shape)}
    if not texts:
        return ""
    parts = [f"{name}:{text}" for name, text in texts.items()] if len(texts) > 1 else [*texts.values()]
    shown = "|".join(quoted(part) if re.search(r"[\s,{}'\"|]", part) else part for part in parts)
    return f"static-shape{{shape={shown}}}"


def is_named(size: object) -> bool:
    """Tell whether the size of a dimension is a name; some exporters write ``?`` or ``None`` where they have none."""
    return isinstance(size, str) and size not in ("", "?", "None", "-1")


def _is_fixed(shape: Sequence[object] | None) -> bool:
    return shape is not None and all(isinstance(size, int) and size > 0 for size in shape)


def _with_example_sizes(shape: Sequence[object] | None) -> str:
    example = (1, 3, 512, 1024)
    if shape is not None and len(shape) == len(example) and shape[3] in (1, 3) and shape[1] not in (1, 3):
        example = (1, 512, 1024, 3)
    given = example if shape is None else shape
    sizes = example if len(given) == len(example) else (1,) * len(given)
    return "x".join(
        str(size if isinstance(size, int) and size > 0 else shown) for size, shown in zip(given, sizes, strict=True)
    )


def graphs_of(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """Return the graphs that are the value of an attribute."""
    return [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def with_subgraphs(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes that are control flow: those with an attribute that holds a graph."""
    from onnx import AttributeProto

    kinds = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    return [node for node in nodes if any(attribute.type in kinds for attribute in node.attribute)]


def shape_of(value: onnx.ValueInfoProto) -> list[int | str | None]:
    """Return the sizes of a tensor, a name or None for a dimension that is open."""
    dims = value.type.tensor_type.shape.dim
    return [int(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or None for dim in dims]
