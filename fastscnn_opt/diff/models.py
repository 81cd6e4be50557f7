"""The comparison of two whole models: interface, graph, local functions, operator sets and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastscnn_opt.diff.comparing import Compared, Pair, compare_scopes
from fastscnn_opt.diff.result import Difference, Group, Item, ModelDiff
from fastscnn_opt.diff.scope import Scope, versions
from fastscnn_opt.diff.values import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx

_HEADER = ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string")
_LISTED = 3
"""Names that a note lists."""


def diff_models(before: onnx.ModelProto, after: onnx.ModelProto) -> ModelDiff:
    """Return what is different between two models.

    Nodes are the same if they have the same name, else if they have the same place in the structure; so neither
    renaming nodes, inner tensors and initializers is a difference, nor another order of the nodes in the file. An
    attribute that one file writes and the other leaves at the same default of ONNX is none either, and is noted. What
    a node reads is compared by where it comes from, so an inserted node is one added node and one changed input.
    """
    one, two = (Scope.of_graph(model.graph, versions(model.opset_import)) for model in (before, after))
    pair, compared = compare_scopes(one, two)
    found = ModelDiff(nodes=compared.nodes, initializers=compared.weights)
    found.inputs = _compare_ends(before.graph.input, after.graph.input, one.inputs, two.inputs, pair.matching.inputs)
    found.outputs = _compare_ends(
        before.graph.output, after.graph.output, one.outputs, two.outputs, pair.matching.outputs
    )
    found.outputs.changed += _moved_outputs(pair)
    found.functions = _compare_functions(before, after, compared)
    found.opsets = _compare_mappings(_opsets(before), _opsets(after))
    found.metadata = _compare_mappings(_header(before), _header(after))
    found.notes = _notes(compared.rewritten)
    return found


def _compare_ends(
    values: Sequence[onnx.ValueInfoProto],
    others: Sequence[onnx.ValueInfoProto],
    names: Sequence[str],
    other_names: Sequence[str],
    pairs: dict[int, int],
) -> Group:
    """Compare inputs or outputs by name, type and shape."""
    one, two = ({value.name: value for value in side} for side in (values, others))
    taken = set(pairs.values())
    group = Group()
    group.removed = [_end(one[name]) for place, name in enumerate(names) if place not in pairs]
    group.added = [_end(two[name]) for place, name in enumerate(other_names) if place not in taken]
    for here, there in sorted(pairs.items()):
        name, other = names[here], other_names[there]
        fields = [("name", name, other), *zip(("type", "shape"), _form(one[name]), _form(two[other]), strict=True)]
        group.changed += [Difference(name, field, mine, theirs) for field, mine, theirs in fields if mine != theirs]
    if [place for _, place in sorted(pairs.items())] != sorted(pairs.values()):
        kept = [names[here] for here in sorted(pairs)]
        moved = [names[here] for here, _ in sorted(pairs.items(), key=lambda item: item[1])]
        group.changed.append(Difference("all", "order", kept, moved))
    return group


def _end(value: onnx.ValueInfoProto) -> Item:
    kind, shape = _form(value)
    return Item(value.name, f"{kind} {shape}" if shape is not None else kind)


def _form(value: onnx.ValueInfoProto) -> tuple[str, list[Any] | None]:
    """Return the element type in words, and the shape: numbers, names of open dimensions, None for unknown ones."""
    if not value.type.HasField("tensor_type"):
        return (value.type.WhichOneof("value") or "unknown").removesuffix("_type"), None
    tensor = value.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim]
    return type_name(tensor.elem_type), shape if tensor.HasField("shape") else None


def _moved_outputs(pair: Pair) -> Iterator[Difference]:
    """Yield the graph outputs that another node makes."""
    one, two = pair.one, pair.two
    for here, there in sorted(pair.matching.outputs.items()):
        source, other = one.source(one.outputs[here]), two.source(two.outputs[there])
        if not pair.same(source, other):
            yield Difference(one.outputs[here], "source", one.describe(source), two.describe(other))


def _compare_functions(before: onnx.ModelProto, after: onnx.ModelProto, compared: Compared) -> Group:
    """Compare local functions by domain and name; what is different inside is entered into `compared`."""
    one, two = ({_function_name(function): function for function in model.functions} for model in (before, after))
    group = Group()
    group.removed = [Item(name, f"{len(one[name].node)} nodes") for name in one if name not in two]
    group.added = [Item(name, f"{len(two[name].node)} nodes") for name in two if name not in one]
    for name in filter(two.__contains__, one):
        title = f"function {name} > "
        pair, body = compare_scopes(Scope.of_function(one[name], title), Scope.of_function(two[name], title))
        compared.extend(body, pair.ends())
        group.changed += _compare_signatures(name, one[name], two[name])
    return group


def _function_name(function: onnx.FunctionProto) -> str:
    overload = getattr(function, "overload", "")
    return f"{function.domain}.{function.name}" + (f":{overload}" if overload else "")


def _compare_signatures(name: str, one: onnx.FunctionProto, two: onnx.FunctionProto) -> Iterator[Difference]:
    def attributes(function: onnx.FunctionProto) -> dict[str, bytes]:
        defaults = {proto.name: proto.SerializeToString(deterministic=True) for proto in function.attribute_proto}
        return dict.fromkeys(function.attribute, b"") | defaults

    if attributes(one) != attributes(two):
        yield Difference(name, "attributes", sorted(attributes(one)), sorted(attributes(two)))
    for entry in _compare_mappings(versions(one.opset_import), versions(two.opset_import)):
        if entry.name != "ai.onnx":
            yield Difference(name, f"opset {entry.name or 'ai.onnx'}", entry.before, entry.after)


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    """Return the operator sets, the default one under the name ai.onnx alone."""
    return {domain: version for domain, version in versions(model.opset_import).items() if domain}


def _header(model: onnx.ModelProto) -> dict[str, Any]:
    """Return the metadata of a model: its properties, and what its header says."""
    header = {name: getattr(model, name) for name in _HEADER if getattr(model, name)}
    return header | {prop.key: prop.value for prop in model.metadata_props}


def _compare_mappings(one: dict[str, Any], two: dict[str, Any]) -> list[Difference]:
    names = dict.fromkeys([*one, *two])
    return [Difference(name, "value", one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)]


def _notes(rewritten: list[str]) -> list[str]:
    if not rewritten:
        return []
    listed = ", ".join(rewritten[:_LISTED]) + (", ..." if len(rewritten) > _LISTED else "")
    count = "1 attribute is" if len(rewritten) == 1 else f"{len(rewritten)} attributes are"
    return [f"{count} written in one model and left at the same default in the other ({listed})"]
