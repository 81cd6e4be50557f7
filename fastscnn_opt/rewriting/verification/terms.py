"""Which tensors an output is a sum of: where large terms cancel, the output is as inexact as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.interface import operator_of

if TYPE_CHECKING:
    import onnx

_SUMS = ("Add", "Sub", "Sum")

_PASSING = (
    *("Abs", "Cast", "Concat", "Cos", "Flatten", "Identity", "LeakyRelu", "Max", "Min", "Neg", "Relu", "Reshape"),
    *("Sin", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
)
"""Operators whose result moves as far as their inputs do, and no further: they only move values, or their slope is at
most one. Those that saturate, such as Sigmoid, are not here: they take a difference away."""


def terms_of_outputs(model: onnx.ModelProto) -> dict[str, list[str]]:
    """Return by output the terms of the sums that it is made of; an output that is no sum is left out.

    Sums are looked for through other sums and through operators that pass a difference on. Graph inputs and
    initializers are left out: a term that cancels one of them is as large, and is found itself.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    found = {}
    for output in model.graph.output:
        terms: dict[str, None] = {}
        pending, seen = [output.name], {output.name}
        while pending:
            node = producers.get(pending.pop())
            if node is None or operator_of(node) not in (*_SUMS, *_PASSING):
                continue
            inner = [name for name in node.input if name in producers]
            if operator_of(node) in _SUMS:
                terms |= dict.fromkeys(inner)
            pending += [name for name in inner if name not in seen]
            seen.update(inner)
        if terms:
            found[output.name] = list(terms)
    return found
