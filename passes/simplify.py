"""The pass `simplify`: runs onnx-simplifier."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.element_types import bits_of, element_type
from fastscnn_opt.model.interface import ONNX_DOMAINS, graphs_of, is_onnx_operator, operator_name, plain_operator
from fastscnn_opt.model.skeleton import copy_without, lacks_shape, subgraphs
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step
from fastscnn_opt.rewriting.graph.content import model_of, replace_content, restore_documentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    import onnx
    import onnx_graphsurgeon as gs

_CUSTOM_DOMAIN = "fastscnn_opt.vendor"
"""Domain given to vendor operators of the default domain while onnx-simplifier runs, which refuses them there."""

_LARGEST_GROWTH = 1 << 20
"""Bytes of a result of constants beyond which it is not stored in place of the much smaller constants."""

_MOST_ROUNDS = 8
"""Rounds of onnx-simplifier before giving up on a fixed point; two are usual."""

_EXTRAS = {"sympy", "torch"}
"""Libraries that onnx-simplifier imports where they are installed."""

_WITHOUT = "leave out simplify, or try optimize=false"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Simplify(Pass):
    """Fold constants and remove needless nodes with onnx-simplifier.

    1. Everything that depends only on constants and fixed shapes, such as shape arithmetic, becomes a constant. Nodes
       that do nothing are removed.
    2. ``optimize=true`` (default) also fuses nodes, for instance BatchNormalization into Conv. ``optimize=false`` does
       not.
    3. onnx-simplifier runs until nothing changes any more. The pass reports how often each operator that became more or
       less frequent was there before and is there after.
    4. A node that makes a tensor of more than 1 MB out of constants of less than half of that size stays, such as an
       Expand: folding it would blow up the file.
    5. Operators outside ONNX, such as an ``AdaptiveAvgPool2d`` that is not lowered yet, stay as they are.
    """

    name: ClassVar[str] = "simplify"
    contract: ClassVar[Contract] = Contract.EXACT

    optimize: bool = True

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Simplify the graph, and leave it as it is if onnx-simplifier changes nothing.

        Raises
        ------
        PassError
            onnx-simplifier fails on the graph, or its own check does, or the weights are larger than it can take.
        """
        growing = _growing(graph)
        for node in graph.nodes:
            if (node.domain in ONNX_DOMAINS and not is_onnx_operator(node.op)) or node.name in growing:
                node.domain = _CUSTOM_DOMAIN
        before = model_of(graph)
        given = _without_defaults(before)
        _rename_foreign(given, operator_name)
        shapeless = _state_shapes(given)
        simplified = self._simplified(given)
        if simplified is not None:
            for output in (one for one in simplified.graph.output if one.name in shapeless):
                output.type.tensor_type.ClearField("shape")
            _rename_foreign(simplified, plain_operator)
            _restore_defaults(before, simplified)
            restore_documentation(before, simplified)
            replace_content(graph, simplified)
        for node in graph.nodes:
            if node.domain == _CUSTOM_DOMAIN:
                node.op, node.domain = plain_operator(node.op, _CUSTOM_DOMAIN), None
        yield Skip("graph", "nothing to simplify") if simplified is None else Change("graph", _what(before, simplified))
        for node in graph.nodes:
            if node.name in growing:
                yield Skip(node, f"its result of {growing[node.name] / 1e6:.1f} MB would be stored in the file")
            if node.domain not in ONNX_DOMAINS or not is_onnx_operator(node.op):
                yield Skip(node, "is no operator of ONNX, so onnx-simplifier does not look into it")

    def _simplified(self, model: onnx.ModelProto) -> onnx.ModelProto | None:
        """Run onnx-simplifier until nothing changes any more, and return the result; None if nothing changes at all."""
        result = None
        content = _content(model.graph)
        for _ in range(_MOST_ROUNDS):
            model = self._round(model)
            before, content = content, _content(model.graph)
            if content == before:
                break
            result = model
        return result

    def _round(self, model: onnx.ModelProto) -> onnx.ModelProto:
        onnxsim = _onnxsim()
        # The search for common subexpressions ends at an attribute that holds a sparse tensor.
        skipped = ["eliminate_common_subexpression"] if _has_sparse_attribute(model.graph) else None
        try:
            simplified: onnx.ModelProto
            with _silent():
                simplified, passed = onnxsim.simplify(
                    model, perform_optimization=self.optimize, skipped_optimizers=skipped
                )
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise PassError(f"onnx-simplifier fails on the graph ({reason})", cure=_WITHOUT) from error
        if not passed:
            raise PassError("onnx-simplifier's own check of its result failed", cure=_WITHOUT)
        return simplified


def _onnxsim() -> ModuleType:
    """Import onnx-simplifier without the libraries of its extras, which take seconds and serve nothing here.

    Python does not find a module that is None in `sys.modules`.
    """
    hidden = set() if "onnxsim" in sys.modules else _EXTRAS - sys.modules.keys()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # typeshed leaves None out
    try:
        with contextlib.suppress(ImportError):  # of a release that cannot do without them
            import onnxsim
    finally:
        for name in hidden:
            del sys.modules[name]
    import onnxsim

    module: ModuleType = onnxsim
    return module


def _has_sparse_attribute(graph: onnx.GraphProto) -> bool:
    from onnx import AttributeProto

    kinds = (AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS)
    nodes = (node for each in (graph, *subgraphs(graph)) for node in each.node)
    return any(attribute.type in kinds for node in nodes for attribute in node.attribute)


def _rename_foreign(model: onnx.ModelProto, rename: Callable[[str, str], str]) -> None:
    """Rename operators, each given with its domain: onnx-simplifier knows operators by their names alone."""
    for function in model.functions:
        function.name = rename(function.name, function.domain)
    nodes = [graph.node for graph in (model.graph, *subgraphs(model.graph))]
    for node in (node for part in (*nodes, *(function.node for function in model.functions)) for node in part):
        node.op_type = rename(node.op_type, node.domain)


def _state_shapes(model: onnx.ModelProto) -> set[str]:
    """State that outputs without a shape are scalars, for onnx-simplifier wants one; return their names.

    Nothing may follow from that, so an output that a node reads stays as it is.
    """
    read = {name for graph in (model.graph, *subgraphs(model.graph)) for node in graph.node for name in node.input}
    lacking = [value for value in model.graph.output if value.type.HasField("tensor_type") and lacks_shape(value)]
    lacking = [value for value in lacking if value.name not in read]
    for value in lacking:
        value.type.tensor_type.shape.SetInParent()
    return {value.name for value in lacking}


def _without_defaults(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose inputs have no default values, which onnx-simplifier would take for constants."""
    bare = copy_without(model, "graph")
    bare.graph.CopyFrom(copy_without(model.graph, "initializer"))
    inputs = {value.name for value in model.graph.input}
    bare.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name not in inputs)
    return bare


def _restore_defaults(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Give inputs of `after` the default values that they have in `before`."""
    inputs = {value.name: value for value in before.graph.input}
    left = {value.name for value in after.graph.input}
    for tensor in before.graph.initializer:
        if tensor.name in inputs:
            after.graph.initializer.append(tensor)
            after.graph.input.extend([inputs[tensor.name]] if tensor.name not in left else [])


def _growing(graph: gs.Graph) -> dict[str, int]:
    """Return the nodes that make a large tensor out of much smaller constants: its bytes, by the name of the node."""
    import onnx_graphsurgeon as gs

    stored: dict[int, int] = {}  # bytes of the constants that a tensor is made of, by its identity
    growing = {}
    for node in graph.nodes:
        given = node.outputs if node.op == "Constant" else node.inputs
        for tensor in given:
            if node.op == "Constant" or isinstance(tensor, gs.Constant):
                stored[id(tensor)] = _static_bytes(tensor)
        sources = [stored.get(id(tensor)) for tensor in node.inputs if not tensor.is_empty()]
        if node.domain not in ONNX_DOMAINS or not sources or None in sources:
            continue
        behind = sum(size for size in sources if size is not None)
        made = sum(map(_static_bytes, node.outputs))
        if made > max(_LARGEST_GROWTH, 2 * behind):
            growing[node.name] = made
        else:
            stored.update((id(tensor), behind) for tensor in node.outputs)
    return growing


def _static_bytes(tensor: gs.Tensor) -> int:
    """Return how many bytes a tensor takes; 0 if its type does not say so."""
    shape = tensor.shape
    if tensor.dtype is None or shape is None or not all(isinstance(dim, int) for dim in shape):
        return 0
    return int(math.prod(shape)) * bits_of(element_type(tensor.dtype)) // 8


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Log what onnx-simplifier writes to stderr instead: a node that it cannot fold is no error."""
    with tempfile.TemporaryFile() as words:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(words.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        words.seek(0)
        for line in words.read().decode(errors="replace").splitlines():
            _log.debug("onnx-simplifier: %s", line)


def _content(graph: onnx.GraphProto) -> tuple[object, ...]:
    """Return what a graph computes, to compare it: without the names and the order of nodes, and the shapes.

    Every run of onnx-simplifier may put Constant nodes in another order.
    """
    nodes = [
        (node.op_type, node.domain, list(node.input), list(node.output), {a.name: _value(a) for a in node.attribute})
        for node in graph.node
    ]
    return sorted(nodes, key=lambda node: node[3]), {tensor.name: _array(tensor) for tensor in graph.initializer}


def _value(attribute: onnx.AttributeProto) -> object:
    """Return the value of an attribute in a form that can be compared."""
    if graphs := graphs_of(attribute):
        return [_content(graph) for graph in graphs]
    return _array(attribute.t) if attribute.HasField("t") else attribute.SerializeToString(deterministic=True)


def _array(tensor: onnx.TensorProto) -> tuple[object, ...]:
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor)
    return array.dtype, array.shape, array.tobytes()


def _what(before: onnx.ModelProto, after: onnx.ModelProto) -> str:
    """Say which operators became more or fewer, with their counts before and after."""
    counts = [Counter(node.op_type for node in model.graph.node) for model in (before, after)]
    for model, count in zip((before, after), counts, strict=True):
        count["initializer"] = len(model.graph.initializer)
    kinds = sorted(kind for kind in counts[0].keys() | counts[1].keys() if counts[0][kind] != counts[1][kind])
    if not kinds:
        return "the same operators, with other inputs, attributes or constants"
    return ", ".join(f"{kind} {counts[0][kind]} -> {counts[1][kind]}" for kind in kinds)
