"""Compare two whole models: inputs, outputs, nodes, initializers, local functions, operator sets and metadata."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastscnn_opt.diff.comparing import ScopeDiff, ScopePair, compare_scopes
from fastscnn_opt.diff.result import Difference, Group, Item, ModelDiff
from fastscnn_opt.diff.scope import Scope, versions
from fastscnn_opt.model.element_types import type_name
from fastscnn_opt.model.interface import inputs_with_defaults
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx

_HEADER = ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string")

_MOST_LISTED = 3
"""Names that a note lists."""


def diff_models(
    before: onnx.ModelProto | str | os.PathLike[str], after: onnx.ModelProto | str | os.PathLike[str]
) -> ModelDiff:
    """Return the differences between two models, each of them loaded already or the path of an ONNX file.

    Nodes are paired by name, or by their place in the structure if that leaves fewer differences. Renaming nodes, inner
    tensors and initializers is therefore no difference, and neither is another order of the nodes in the file. An
    attribute that one file writes and the other leaves at the same default of ONNX is only noted. Inputs of nodes are
    compared by the origin of the tensor, so an inserted node is one added node and one changed input.

    Raises
    ------
    ModelError
        A file cannot be read as a model.
    """
    before, after = _loaded(before), _loaded(after)
    first, second = (Scope.of_graph(model.graph, versions(model.opset_import)) for model in (before, after))
    pair, diff = compare_scopes(first, second)
    matching = pair.matching
    found = ModelDiff(nodes=diff.nodes, initializers=diff.weights)
    found.inputs = _compare_ends(before.graph.input, after.graph.input, first.inputs, second.inputs, matching.inputs)
    found.inputs.extend(_compare_defaults(before, after))
    found.outputs = _compare_ends(
        before.graph.output, after.graph.output, first.outputs, second.outputs, matching.outputs
    )
    found.outputs.changed += _outputs_of_other_nodes(pair)
    found.functions = _compare_functions(before, after, diff)
    found.opsets = _compare_mappings(_opsets(before), _opsets(after))
    found.metadata = _compare_mappings(_metadata(before), _metadata(after))
    found.notes = _notes(diff.written_defaults)
    return found


def _loaded(model: onnx.ModelProto | str | os.PathLike[str]) -> onnx.ModelProto:
    return load_model(model) if isinstance(model, (str, os.PathLike)) else model


def _compare_ends(
    values: Sequence[onnx.ValueInfoProto],
    other_values: Sequence[onnx.ValueInfoProto],
    names: Sequence[str],
    other_names: Sequence[str],
    pairs: dict[int, int],
) -> Group:
    """Compare inputs or outputs by name, type, shape and order; `pairs` holds their positions."""
    first, second = ({value.name: value for value in side} for side in (values, other_values))
    paired = set(pairs.values())
    group = Group()
    group.removed = [_item(first[name]) for position, name in enumerate(names) if position not in pairs]
    group.added = [_item(second[name]) for position, name in enumerate(other_names) if position not in paired]
    for here, there in sorted(pairs.items()):
        name, other = names[here], other_names[there]
        fields = zip(
            ("name", "type", "shape"), (name, *_form(first[name])), (other, *_form(second[other])), strict=True
        )
        group.changed += [Difference(name, field, old, new) for field, old, new in fields if old != new]
    if [there for _, there in sorted(pairs.items())] != sorted(pairs.values()):
        old_order = [names[here] for here in sorted(pairs)]
        new_order = [names[here] for here, _ in sorted(pairs.items(), key=lambda item: item[1])]
        group.changed.append(Difference("all", "order", old_order, new_order))
    return group


def _compare_defaults(before: onnx.ModelProto, after: onnx.ModelProto) -> Group:
    """Compare by name the inputs that have default values; their types and values are those of the initializers."""
    first, second = ({value.name: _item(value) for value in inputs_with_defaults(model)} for model in (before, after))

    def only(items: dict[str, Item], others: dict[str, Item]) -> list[Item]:
        return [replace(one, what=f"{one.what}, with a default") for name, one in items.items() if name not in others]

    return Group(removed=only(first, second), added=only(second, first))


def _item(value: onnx.ValueInfoProto) -> Item:
    kind, shape = _form(value)
    return Item(value.name, f"{kind} {shape}" if shape is not None else kind)


def _form(value: onnx.ValueInfoProto) -> tuple[str, list[Any] | None]:
    """Return the element type and the shape; a dimension is a number, a name, or None if it is unknown."""
    return _form_of(value.type)


def _form_of(kind: onnx.TypeProto) -> tuple[str, list[Any] | None]:
    which = kind.WhichOneof("value") or "unknown"
    if which in ("sequence_type", "optional_type", "map_type"):
        holder = getattr(kind, which)
        inner = holder.value_type if which == "map_type" else holder.elem_type
        form, shape = _form_of(inner)
        return f"{which.removesuffix('_type')} of {form}{'' if shape is None else f' {shape}'}", None
    if which not in ("tensor_type", "sparse_tensor_type"):
        return which.removesuffix("_type"), None
    tensor = getattr(kind, which)
    shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim]
    sparse = "sparse " if which == "sparse_tensor_type" else ""
    return sparse + type_name(tensor.elem_type), shape if tensor.HasField("shape") else None


def _outputs_of_other_nodes(pair: ScopePair) -> Iterator[Difference]:
    """Yield the graph outputs that another node produces in the second model."""
    first, second = pair.first, pair.second
    for here, there in sorted(pair.matching.outputs.items()):
        origin, other = first.origin_of(first.outputs[here]), second.origin_of(second.outputs[there])
        if not pair.is_same(origin, other):
            yield Difference(first.outputs[here], "source", first.describe(origin), second.describe(other))


def _compare_functions(before: onnx.ModelProto, after: onnx.ModelProto, diff: ScopeDiff) -> Group:
    """Compare local functions by domain and name; add the differences of their bodies to `diff`."""
    first, second = ({_function_name(function): function for function in model.functions} for model in (before, after))
    group = Group()
    group.removed = [Item(name, f"{len(first[name].node)} nodes") for name in first if name not in second]
    group.added = [Item(name, f"{len(second[name].node)} nodes") for name in second if name not in first]
    for name in filter(second.__contains__, first):
        prefix = f"function {name} > "
        pair, body = compare_scopes(Scope.of_function(first[name], prefix), Scope.of_function(second[name], prefix))
        diff.extend(body, pair.compare_ends())
        group.changed += _compare_signatures(name, first[name], second[name])
    return group


def _function_name(function: onnx.FunctionProto) -> str:
    overload = getattr(function, "overload", "")
    return f"{function.domain}.{function.name}" + (f":{overload}" if overload else "")


def _compare_signatures(name: str, before: onnx.FunctionProto, after: onnx.FunctionProto) -> Iterator[Difference]:
    def attributes(function: onnx.FunctionProto) -> dict[str, bytes]:
        defaults = {proto.name: proto.SerializeToString(deterministic=True) for proto in function.attribute_proto}
        return dict.fromkeys(function.attribute, b"") | defaults

    if attributes(before) != attributes(after):
        yield Difference(name, "attributes", sorted(attributes(before)), sorted(attributes(after)))
    for entry in _compare_mappings(versions(before.opset_import), versions(after.opset_import)):
        if entry.name != "ai.onnx":
            yield Difference(name, f"opset {entry.name or 'ai.onnx'}", entry.before, entry.after)


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    """Return the version of every operator set; the default set is there under the name ai.onnx alone."""
    return {domain: version for domain, version in versions(model.opset_import).items() if domain}


def _metadata(model: onnx.ModelProto) -> dict[str, Any]:
    """Return the fields of a model's header and its metadata properties."""
    header = {name: getattr(model, name) for name in _HEADER if getattr(model, name)}
    return header | {prop.key: prop.value for prop in model.metadata_props}


def _compare_mappings(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    names = dict.fromkeys([*before, *after])
    pairs = [(name, before.get(name), after.get(name)) for name in names]
    return [Difference(name, "value", old, new) for name, old, new in pairs if old != new]


def _notes(written_defaults: list[str]) -> list[str]:
    if not written_defaults:
        return []
    listed = ", ".join(written_defaults[:_MOST_LISTED]) + (", ..." if len(written_defaults) > _MOST_LISTED else "")
    count = f"{counted(len(written_defaults), 'attribute')} {'is' if len(written_defaults) == 1 else 'are'}"
    return [f"{count} written in one model and left at the same default in the other ({listed})"]
