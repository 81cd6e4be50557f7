"""Reads models from text, and renames, reorders and edits them, for the tests of the diff."""

import onnx

HEAD = '<ir_version: 10, opset_import: ["" : 13, "vendor" : 1]>'


def read(text, head=HEAD):
    return onnx.parser.parse_model(f"{head} {text}")


def edited(model, change=lambda _: None):
    """Return a copy of `model` after `change(graph)`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change(copy.graph)
    return copy


def set_attribute(node, name, value):
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def rename(model):
    """Return the model with every node, inner tensor and initializer renamed, subgraphs included."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = {value.name for value in (*model.graph.input, *model.graph.output)} | {""}

    def new(name):
        return name if name in kept else f"z{hash(name) % 10**12}"

    def visit(graph):
        for node in graph.node:
            node.name = new(f"node {node.name}{node.output[0]}")
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    attribute.t.name = new("value")
                for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                    visit(body)
        for value in (*graph.initializer, *graph.value_info, *graph.input, *graph.output):
            value.name = new(value.name)

    visit(copy.graph)
    return copy


def reorder(model, rng):
    """Return the model with its nodes in another topological order."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    waiting = list(copy.graph.node)
    known = {value.name for value in (*copy.graph.input, *copy.graph.initializer)} | {""}
    ordered = []
    while waiting:
        ready = [node for node in waiting if set(node.input) <= known]
        node = rng.choice(ready)
        waiting = [other for other in waiting if other is not node]
        known |= set(node.output)
        ordered.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del copy.graph.node[:]
    copy.graph.node.extend(ordered)
    return copy


def changes(diff):
    return [(entry.name, entry.field, entry.before, entry.after) for entry in diff.nodes.changed]


def only(diff, *groups):
    """Check that nothing but these groups is different."""
    found = {name for name in ("inputs", "outputs", "nodes", "initializers", "functions") if getattr(diff, name)}
    return found | ({"opsets"} if diff.opsets else set()) | ({"metadata"} if diff.metadata else set()) == set(groups)
