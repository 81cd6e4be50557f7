"""The pass `fold-batchnorm`: batch normalisation moves into the convolution in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

from ._graph import bias_of, constant_value, in_training, parameters_of, unique_name, why_not_constant

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_LINEAR = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class FoldBatchnorm(Pass):
    """Fold batch normalisation into the Conv, ConvTranspose or Gemm in front of it.

    1. (w x + b - mean) scale / sqrt(variance + epsilon) + shift is one convolution with other weights and another bias.
       The pass computes these in float64 and rounds them once.
    2. It leaves alone and reports a normalisation in training mode, one behind another operator, one whose input
       another node also reads, and one whose parameters or weights are not constant.
    3. Where several nodes share weights, each node that is folded gets a copy.

    The pass looks at every node once, so its time grows in proportion to the graph. `simplify` also folds into Conv and
    ConvTranspose, but its time grows faster than the graph.
    """

    name: ClassVar[str] = "fold-batchnorm"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = ("BatchNormalization",)

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Fold every BatchNormalization that can be."""
        interface = {id(tensor) for tensor in (*graph.inputs, *graph.outputs)}
        for norm in list(graph.nodes):
            if norm.op != "BatchNormalization" or norm.domain not in ONNX_DOMAINS:
                continue
            why = _why_not(norm, interface, graph.defaults)
            if why:
                yield Skip(norm, why)
            else:
                node = norm.inputs[0].inputs[0]
                _fold(graph, norm, node)
                yield Change(norm, f"folded into {node.name}")


def _why_not(norm: gs.Node, interface: set[int], defaults: Container[str]) -> str:
    """Return why a normalisation has to stay, "" if it can be folded."""
    source = norm.inputs[0]
    node = source.inputs[0] if source.inputs else None
    if in_training(norm):
        return "it is in training mode"
    if node is None or node.op not in _LINEAR or node.domain not in ONNX_DOMAINS:
        maker = f"{node.name}, a {node.op}" if node else "outside"
        return f"its input comes from {maker}, which has no weights to fold into"
    if len(source.outputs) > 1 or id(source) in interface:
        return f"another node or an output also reads the result of {node.name}"
    for tensor in (*norm.inputs[1:], *parameters_of(node)):
        if constant_value(tensor) is None or id(tensor) in interface:
            return why_not_constant(tensor, defaults)
    return _why_sizes_disagree(norm, node)


def _why_sizes_disagree(norm: gs.Node, node: gs.Node) -> str:
    """Say which parameter has another size than the channels that `node` makes, "" if all fit."""
    shape = np.asarray(constant_value(node.inputs[1])).shape
    groups = node.attrs.get("group", 1)
    if len(shape) < 2 or (node.op == "ConvTranspose" and (groups < 1 or shape[0] % groups)):
        return f"the weights of {node.name} have the shape {list(shape)}, which does not fit it"
    if node.op == "Gemm":
        channels = shape[0 if node.attrs.get("transB", 0) else 1]
    else:
        channels = shape[1] * groups if node.op == "ConvTranspose" else shape[0]
    bias = bias_of(node)
    known = [*norm.inputs[1:], *([] if bias is None or node.op == "Gemm" else [bias])]  # that of Gemm is broadcast
    for tensor in known:
        if np.asarray(constant_value(tensor)).shape != (channels,):
            return f"{tensor.name} does not hold one value for each of the {channels} channels of {node.name}"
    if bias is not None and np.asarray(constant_value(bias)).shape[-1:] not in ((), (1,), (channels,)):
        return f"{bias.name} does not fit the {channels} columns of {node.name}"
    return ""


def _fold(graph: gs.Graph, norm: gs.Node, node: gs.Node) -> None:
    """Give `node` weights and a bias that include `norm`, and the output of `norm`."""
    gamma, beta, mean, variance = (_wide(tensor) for tensor in norm.inputs[1:])
    factors = gamma / np.sqrt(variance + norm.attrs.get("epsilon", 1e-5))
    given = bias_of(node)
    bias = np.zeros_like(factors) if given is None else _wide(given)
    if node.op == "Gemm":
        bias = bias * node.attrs.pop("beta", 1.0)
    _put(graph, node, 1, _scaled(node, factors))
    _put(graph, node, 2, (bias - mean) * factors + beta)
    node.outputs = [norm.outputs[0]]
    norm.outputs.clear()


def _scaled(node: gs.Node, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of `node`, those of output channel i multiplied by factor i."""
    weights = _wide(node.inputs[1])
    if node.op == "ConvTranspose":  # I, O / groups, ...: the input channels of a group lie together
        groups = node.attrs.get("group", 1)
        grouped = weights.reshape(groups, -1, *weights.shape[1:])
        ones = [1] * (weights.ndim - 2)
        return (grouped * factors.reshape(groups, 1, -1, *ones)).reshape(weights.shape)
    if node.op == "Gemm" and not node.attrs.get("transB", 0):
        return weights * factors
    return weights * factors.reshape(-1, *[1] * (weights.ndim - 1))


def _put(graph: gs.Graph, node: gs.Node, index: int, values: NDArray[np.float64]) -> None:
    """Set the constant input `index` of a node to `values`, rounded to the type of the weights."""
    import onnx_graphsurgeon as gs

    rounded = values.astype(node.inputs[1].dtype)
    given = node.inputs[index] if index < len(node.inputs) else None
    if isinstance(given, gs.Constant) and len(given.outputs) == 1:
        given.values = rounded
        return
    constant = gs.Constant(unique_name(graph, f"{node.name}_{'bias' if index == 2 else 'weight'}"), rounded)
    if given is None:
        node.inputs.append(constant)
    else:
        node.inputs[index] = constant


def _wide(tensor: gs.Tensor) -> NDArray[np.float64]:
    return np.asarray(constant_value(tensor), dtype=np.float64)
