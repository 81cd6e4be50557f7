"""Mends what exporters leave wrong and engines put up with, and says what it mended."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, TypeVar

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.interface import OLDEST_IR, ONNX_DOMAINS, graphs_of, is_onnx_operator, operator_of, opset_of
from fastscnn_opt.model.skeleton import Skeleton, copy_without, lacks_shape, subgraphs
from fastscnn_opt.text import counted, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableSequence, Sequence

    import onnx

Message = TypeVar("Message", "onnx.NodeProto", "onnx.ValueInfoProto", "onnx.OperatorSetIdProto")

OLDEST_OPSET = 9
"""The definitions of Resize and its predecessors are stable from opset 9 on; older models are converted to it."""

_COLUMNS = {"": 2, "ai.onnx.ml": 3, "ai.onnx.training": 4}
"""Columns of `onnx.helper.VERSION_TABLE` with the versions of the operator sets of ONNX; the second is the IR's."""

_NUMPY_BROADCASTING = 7
"""From this opset on, shapes broadcast as in numpy, from the last axis; before, from an axis that the node names."""

_NAMED = 4
"""Names that a sentence lists."""


def mend(model: onnx.ModelProto) -> list[str]:
    """Mend the form of `model`, in place, and return a sentence for each thing that was mended.

    1. IR version 3 becomes 4, and initializers are no longer inputs.
    2. Operator sets that nodes use, and that the model does not import, are imported.
    3. A negative dimension of an input, an output or an inner tensor becomes an open one.
    4. Nodes are sorted topologically, unless they form a cycle.
    5. The domain ``ai.onnx`` of nodes and imports becomes the empty one, which is the same, and the only one that onnx
       checks.
    """
    steps = (raise_ir_version, _import_domains, _open_negative_dimensions, _sort_all, _write_default_domain)
    return [text for step in steps if (text := step(model))]


def _write_default_domain(model: onnx.ModelProto) -> str:
    graphs = (model.graph, *subgraphs(model.graph))
    found = [node for graph in graphs for node in graph.node if node.domain == "ai.onnx"]
    for node in found:
        node.domain = ""
    if all(opset.domain for opset in model.opset_import):  # onnx 1.22 looks for the import of '' alone
        for opset in (opset for opset in model.opset_import if opset.domain == "ai.onnx"):
            opset.domain = ""
    return f"the domain 'ai.onnx' of {counted(len(found), 'node')} is now written as ''" if found else ""


def raise_ir_version(model: onnx.ModelProto) -> str:
    """Turn IR version 3 into 4, in place, with initializers that are no inputs; return what was done.

    Up to version 3, every initializer had to be an input as well, so that nothing tells the few that a caller may want
    to replace, if any, from the weights. All of them become constants. Inputs of loop bodies stay: their places count.
    """
    if not 0 < model.ir_version < OLDEST_IR:
        return ""
    before, model.ir_version = model.ir_version, OLDEST_IR
    dropped = _keep_real_inputs(model.graph)
    for graph in (model.graph, *subgraphs(model.graph)):
        for node in (node for node in graph.node if operator_of(node) == "If"):
            for attribute in node.attribute:
                dropped += sum(map(_keep_real_inputs, graphs_of(attribute)))
    constants = f", and {counted(dropped, 'initializer')} can no longer be fed" if dropped else ""
    return f"IR version {before} became {OLDEST_IR}{constants}"


def with_current_ir(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, or a copy with a raised IR version."""
    import onnx

    if model.ir_version >= OLDEST_IR:
        return model
    raised = onnx.ModelProto()
    raised.CopyFrom(model)
    raise_ir_version(raised)
    return raised


def convert_opset(model: onnx.ModelProto, where: str) -> tuple[onnx.ModelProto, str]:
    """Return a valid model with an opset of at least `OLDEST_OPSET`, and what was done.

    Raises
    ------
    ModelError
        onnx cannot convert it; `where` names the model.
    """
    from onnx.shape_inference import InferenceError

    version = opset_of(model)
    if version >= OLDEST_OPSET:
        return model, ""
    try:
        _check_convertible(model, version)
        converted = Skeleton(model, where).converted(OLDEST_OPSET)
        result = _with_nodes_of(converted, model)
        Skeleton(result, where).check()
    except (ModelError, RuntimeError, ValueError, InferenceError) as error:
        what = f"opset {version} is older than {OLDEST_OPSET}, and onnx cannot convert it ({_first_line(error)})"
        raise ModelError(what, where=where, cure="export it again with opset 11 or newer") from error
    return result, f"opset {version} was converted to {OLDEST_OPSET}"


def complete_outputs(model: onnx.ModelProto) -> str:
    """Give outputs without a type or a shape those that can be inferred, in place; return what was done."""
    import onnx

    lacking = [value for value in model.graph.output if lacks_shape(value)]
    known = {value.name: value for value in Skeleton(model, "the model").infer().output} if lacking else {}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for value in lacking:
        if value.name in stored:
            tensor = stored[value.name]
            value.type.CopyFrom(onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims))
        elif known[value.name].HasField("type"):  # shape inference reads wrong constants beside an empty type
            value.type.CopyFrom(known[value.name].type)
    found = [repr(value.name) for value in lacking if not lacks_shape(value)]
    return f"the shape of {_listed(found)} was inferred" if found else ""


def _check_convertible(model: onnx.ModelProto, version: int) -> None:
    """Raise ValueError for what onnx converts wrongly without a word, and for operators inside other nodes."""
    import onnx

    single = {tensor.name for tensor in model.graph.initializer if math.prod(tensor.dims) == 1}
    for node in (node for node in model.graph.node if node.domain in ONNX_DOMAINS):
        if node.op_type == "Scan":
            raise ValueError("Scan had a batch axis then")
        if version < _NUMPY_BROADCASTING and (
            (node.op_type == "PRelu" and node.input[1] not in single)
            or any(attribute.name == "broadcast" and attribute.i for attribute in node.attribute)
        ):
            raise ValueError(f"it loses the axis along which {node.op_type} broadcasts")
    inner = {node.op_type for body in subgraphs(model.graph) for node in body.node if node.domain in ONNX_DOMAINS}
    for operator in filter(is_onnx_operator, sorted(inner)):
        then, now = (onnx.defs.get_schema(operator, number) for number in (version, OLDEST_OPSET))
        if then.since_version != now.since_version:
            raise ValueError(f"it does not look at the {operator} inside another node")


def _keep_real_inputs(graph: onnx.GraphProto) -> int:
    """Remove the inputs that are initializers; return how many."""
    constants = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in constants]
    dropped = len(graph.input) - len(kept)
    if dropped:
        _replace(graph.input, kept)
    return dropped


def _import_domains(model: onnx.ModelProto) -> str:
    """Import the operator sets that are missing, in the version that came with the IR version of the model.

    A model without any is left for the check to refuse: the imports are at the end of a file, which may be truncated.
    """
    import onnx

    if not model.opset_import:
        return ""
    graphs = (model.graph, *subgraphs(model.graph))
    imported = {"" if opset.domain in ONNX_DOMAINS else opset.domain for opset in model.opset_import}
    used = {"" if node.domain in ONNX_DOMAINS else node.domain for graph in graphs for node in graph.node}
    missing = sorted({"", *used} - imported)
    for domain in missing:
        rows = [
            row
            for row in onnx.helper.VERSION_TABLE
            if row[1] <= model.ir_version and len(row) > _COLUMNS.get(domain, 0)
        ]
        version = max((row[_COLUMNS[domain]] for row in rows), default=1) if domain in _COLUMNS else 1
        model.opset_import.add(domain=domain, version=version)
    return (
        f"the operator set {_listed([repr(domain or 'ai.onnx') for domain in missing])} is now imported"
        if missing
        else ""
    )


def _open_negative_dimensions(model: onnx.ModelProto) -> str:
    names = []
    for graph in (model.graph, *subgraphs(model.graph)):
        for value in (*graph.input, *graph.output, *graph.value_info):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_value < 0:
                    dim.Clear()
                    names.append(repr(value.name))
    return f"negative dimensions of {_listed(list(dict.fromkeys(names)))} became open ones" if names else ""


def _sort_all(model: onnx.ModelProto) -> str:
    bodies = [model.graph.node, *(graph.node for graph in subgraphs(model.graph))]
    bodies += [function.node for function in model.functions]
    return "its nodes were sorted topologically" if sum(map(_sort, bodies)) else ""


def _sort(nodes: MutableSequence[onnx.NodeProto]) -> bool:
    """Put `nodes` in topological order, in place, the first that is ready first; tell whether that changed anything."""
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needed = [{maker[name] for name in _names_read(node) if name in maker} for node in nodes]
    if all(not before or max(before) < index for index, before in enumerate(needed)):
        return False
    readers: list[list[int]] = [[] for _ in needed]
    for index, before in enumerate(needed):
        for other in before:
            readers[other].append(index)
    open_needs = [*map(len, needed)]
    ready = [index for index, count in enumerate(open_needs) if not count]
    order = []
    while ready:
        order.append(heapq.heappop(ready))
        for reader in readers[order[-1]]:
            open_needs[reader] -= 1
            if not open_needs[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        return False  # a cycle, which the check reports
    _replace(nodes, [nodes[index] for index in order])
    return True


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node reads, and those that the graphs inside it read."""
    yield from node.input
    for attribute in node.attribute:
        for body in graphs_of(attribute):
            yield from (value.name for value in body.output)
            for inner in body.node:
                yield from _names_read(inner)


def _with_nodes_of(converted: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with the nodes and the operator sets of `converted`, a skeleton of it."""
    result = copy_without(model, "graph")
    result.graph.CopyFrom(model.graph)
    _replace(result.opset_import, converted.opset_import)
    notes = {node.output[0]: node.metadata_props for node in model.graph.node if node.output}
    del result.graph.value_info[:]
    _replace(result.graph.node, converted.graph.node)
    for node in result.graph.node:
        node.metadata_props.extend(notes.get(node.output[0] if node.output else "", ()))
    known = {tensor.name for tensor in model.graph.initializer}
    result.graph.initializer.extend(tensor for tensor in converted.graph.initializer if tensor.name not in known)
    return result


def _replace(messages: MutableSequence[Message], others: Sequence[Message]) -> None:
    """Put copies of `others`, which may be some of `messages`, in the place of `messages`."""
    copies = []
    for other in others:
        copy = type(other)()
        copy.CopyFrom(other)
        copies.append(copy)
    del messages[:]
    messages.extend(copies)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return joined([*names[:_NAMED], *([f"{more} more"] if more > 0 else [])])


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
