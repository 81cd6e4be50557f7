"""The pass `fold-batchnorm`: batch normalisation and arithmetic move into the convolution in front of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

from ._graph import (
    bias_of,
    constant_value,
    in_training,
    parameters_of,
    type_name,
    unique_name,
    what_fixes,
    why_not_constant,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_LINEAR = ("BatchNormalization", "Conv", "ConvTranspose", "Gemm")
"""Operators whose second input multiplies each channel of the result; their third is added to it."""

_ARITHMETIC = ("Add", "Div", "Mul", "Sub")


@dataclass(frozen=True)
class FoldBatchnorm(Pass):
    """Fold batch normalisation and arithmetic per channel into the Conv, ConvTranspose or Gemm in front of them.

    1. (w x + b - mean) scale / sqrt(variance + epsilon) + shift is one convolution with other weights and another bias.
       The pass computes these in float64 and rounds them once.
    2. Mul, Div, Add and Sub by a constant are folded in the same way, if it has one value, or one for each channel. A
       normalisation that stays takes them, too.
    3. The pass leaves alone and reports a normalisation in training mode, one behind another operator, one whose input
       another node also reads, one whose parameters or weights are not constant, and one that would make a weight
       infinite. Of arithmetic, it reports only what is behind one of these operators and has a constant.
    4. Where several nodes share weights, each node that is folded gets a copy.

    The pass looks at every node once, so its time grows in proportion to the graph. `simplify` also folds into Conv and
    ConvTranspose, but its time grows faster than the graph.
    """

    name: ClassVar[str] = "fold-batchnorm"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = ("BatchNormalization",)

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Fold every node that can be."""
        interface = {id(tensor) for tensor in (*graph.inputs, *graph.outputs)}
        for norm in [node for node in graph.nodes if node.domain in ONNX_DOMAINS]:
            source = _source(norm)
            if source is None:
                continue
            maker = source.inputs[0] if source.inputs else None
            why = _why_not(norm, source, interface, graph.defaults) or _fold(graph, norm, source)
            yield Skip(norm, why) if why or maker is None else Change(norm, f"folded into {maker.name}")


def _source(norm: gs.Node) -> gs.Tensor | None:
    """Return the tensor that a node scales and shifts channel by channel; None if the node does something else."""
    if norm.op == "BatchNormalization":
        return norm.inputs[0]
    if norm.op not in _ARITHMETIC or norm.attrs or len(norm.inputs) != 2:
        return None
    left, right = norm.inputs
    if _is_linear(left) and constant_value(right) is not None:
        return left
    return right if norm.op != "Div" and _is_linear(right) and constant_value(left) is not None else None


def _is_linear(tensor: gs.Tensor) -> bool:
    maker = tensor.inputs[0] if tensor.inputs else None
    return maker is not None and maker.op in _LINEAR and maker.domain in ONNX_DOMAINS


def _why_not(norm: gs.Node, source: gs.Tensor, interface: set[int], defaults: Container[str]) -> str:
    """Return why a node has to stay, "" if it can be folded."""
    node = source.inputs[0] if source.inputs else None
    if in_training(norm):
        return "it is in training mode"
    if node is not None and in_training(node):
        return f"{node.name} in front of it is in training mode"
    if node is None or not _is_linear(source):
        maker = f"{node.name}, a {node.op}" if node else "outside"
        return f"its input comes from {maker}, which has no weights to fold into"
    if len(source.outputs) > 1 or id(source) in interface:
        return f"another node or an output also reads the result of {node.name}"
    for tensor in (*_constants(norm, source), *parameters_of(node)):
        if constant_value(tensor) is None or id(tensor) in interface:
            return why_not_constant(tensor, defaults)
    if not _computes_in_floats(node.inputs[1]):
        return f"the weights of {node.name} are {type_name(node.inputs[1])}, in which the pass cannot compute"
    return _why_sizes_disagree(norm, source, node)


def _constants(norm: gs.Node, source: gs.Tensor) -> list[gs.Tensor]:
    return [tensor for tensor in norm.inputs if tensor is not source]


def _computes_in_floats(weights: gs.Tensor) -> bool:
    """Tell whether numpy has the type of weights, and it is one of floats."""
    return not isinstance(weights.dtype, int) and bool(np.issubdtype(np.dtype(weights.dtype), np.floating))


def _why_sizes_disagree(norm: gs.Node, source: gs.Tensor, node: gs.Node) -> str:
    """Say which parameter has another size than the channels that `node` makes, "" if all fit."""
    shape = np.asarray(constant_value(node.inputs[1])).shape
    groups = node.attrs.get("group", 1)
    least = 1 if node.op == "BatchNormalization" else 2
    if len(shape) < least or (node.op == "ConvTranspose" and (groups < 1 or shape[0] % groups)):
        return f"the weights of {node.name} have the shape {list(shape)}, which does not fit it"
    channels, bias = _channels(node), bias_of(node)
    rank = len(source.shape or ()) if node.op == "BatchNormalization" else len(shape)
    if norm.op == "BatchNormalization":
        wanted: list[tuple[int, ...]] = [(channels,)]
    elif rank < least:
        return f"the shape of {source.name} is not known; run {what_fixes(source)} first"
    else:  # broadcast from the end: no larger than the result of `node`, and varying from channel to channel alone
        behind = max(rank - 2, 0)
        wanted = [(*[1] * before, size, *[1] * behind) for before in (0, 1) for size in (1, channels)]
        wanted += [(1,) * count for count in range(behind + 1)]
    for tensor in _constants(norm, source):
        if np.asarray(constant_value(tensor)).shape not in wanted:
            return f"{tensor.name} does not hold one value for each of the {channels} channels of {node.name}"
    if bias is None:
        return ""
    given = np.asarray(constant_value(bias)).shape
    if node.op != "Gemm" and given != (channels,):
        return f"{bias.name} does not hold one value for each of the {channels} channels of {node.name}"
    if given[-1:] not in ((), (1,), (channels,)):  # that of Gemm is broadcast
        return f"{bias.name} does not fit the {channels} columns of {node.name}"
    return ""


def _channels(node: gs.Node) -> int:
    """Return how many channels a Conv, ConvTranspose or Gemm makes."""
    shape = np.asarray(constant_value(node.inputs[1])).shape
    if node.op == "Gemm":
        return int(shape[0 if node.attrs.get("transB", 0) else 1])
    return int(shape[1] * node.attrs.get("group", 1) if node.op == "ConvTranspose" else shape[0])


def _fold(graph: gs.Graph, norm: gs.Node, source: gs.Tensor) -> str:
    """Give the node in front weights and a bias that include `norm`, and its output; say why if they are not finite."""
    node = source.inputs[0]
    dtype, given = node.inputs[1].dtype, bias_of(node)
    with np.errstate(all="ignore"):
        factors, shift = _factors_and_shift(norm, source)
        bias = np.zeros(_channels(node)) if given is None else _wide(given) * node.attrs.get("beta", 1.0)
        bias = (bias * factors + shift).astype(dtype)
        weights = _scaled(node, factors).astype(dtype)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        return f"the weights or the bias of {node.name} would be infinite, or no numbers"
    node.attrs.pop("beta", None)
    if (factors != 1).any():
        _put(graph, node, 1, weights)
    _put(graph, node, 2, bias)
    node.outputs = [norm.outputs[0]]
    norm.outputs.clear()
    return ""


def _factors_and_shift(norm: gs.Node, source: gs.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what `norm` multiplies each channel by, and adds to it then."""
    if norm.op == "BatchNormalization":
        gamma, beta, mean, variance = (_wide(tensor) for tensor in norm.inputs[1:])
        factors = gamma / np.sqrt(variance + norm.attrs.get("epsilon", 1e-5))
        return factors, beta - mean * factors
    (constant,) = _constants(norm, source)
    value = np.broadcast_to(_wide(constant).ravel(), _channels(source.inputs[0]))
    one, zero = np.ones_like(value), np.zeros_like(value)
    if norm.op == "Sub":
        return (one, -value) if norm.inputs[0] is source else (-one, value)
    return {"Add": (one, value), "Mul": (value, zero), "Div": (1 / value, zero)}[norm.op]


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


def _put(graph: gs.Graph, node: gs.Node, index: int, values: NDArray[np.floating[Any]]) -> None:
    """Set the constant input `index` of a node to `values`."""
    import onnx_graphsurgeon as gs

    given = node.inputs[index] if index < len(node.inputs) else None
    if isinstance(given, gs.Constant) and len(given.outputs) == 1:
        given.values = values
        return
    constant = gs.Constant(unique_name(graph, f"{node.name}_{'bias' if index == 2 else 'weight'}"), values)
    if given is None:
        node.inputs.append(constant)
    else:
        node.inputs[index] = constant


def _wide(tensor: gs.Tensor) -> NDArray[np.float64]:
    return np.asarray(constant_value(tensor), dtype=np.float64)
