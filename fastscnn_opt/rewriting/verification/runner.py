"""Runs models in onnxruntime for the verification of passes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.engine import engine_errors, open_model, reason_of
from fastscnn_opt.rewriting.contract import Feeds, Labels, Tensor
from fastscnn_opt.rewriting.verification.comparing import fits_declared, magnitude, sizes_in_words, values_in
from fastscnn_opt.rewriting.verification.logits import expose_logits
from fastscnn_opt.rewriting.verification.widening import WideInterface

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx


UNCHECKED = "to go on unchecked, use --no-verify"

_MOST_RUNS = 4
"""How many runs are remembered: the next pass asks for them again."""


class GraphRunner:
    """Runs a model in onnxruntime; a label output that an ArgMax made comes with the logits behind it.

    Attributes
    ----------
    misdeclared
        The outputs that had another shape than the model declares, in any run, with both shapes in words.

    Raises
    ------
    ModelError
        onnxruntime refuses the model.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.outputs = [output.name for output in model.graph.output]
        self.misdeclared: dict[str, str] = {}
        exposed, self.logits = expose_logits(expand_adaptive_pooling(model))
        self._interface = WideInterface(exposed)
        self.session = open_model(self._interface.model, cure=UNCHECKED)
        self._runs: list[tuple[Feeds, dict[str, Tensor]]] = []

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs by name."""
        for known, result in self._runs:
            if _same(known, feeds):
                return dict(result)
        result = self._run(feeds)
        self._runs = [*self._runs[1 - _MOST_RUNS :], (dict(feeds), result)]
        declared = {output.name: output.type.tensor_type.shape for output in self.model.graph.output}
        for name, value in result.items():
            shape = getattr(values_in(value), "shape", None)  # a sequence has none
            if shape is not None and not fits_declared(shape, declared[name]):
                self.misdeclared[name] = (
                    f"is declared as {sizes_in_words(declared[name])} and has the shape {list(shape)}"
                )
        return dict(result)

    def forget(self) -> None:
        """Run anew for feeds that have been run already."""
        self._runs.clear()

    def _run(self, feeds: Feeds) -> dict[str, Tensor]:
        names = list(dict.fromkeys([*self.outputs, *(logits for logits, _ in self.logits.values())]))
        wide = dict(itertools.starmap(self._interface.feed, feeds.items()))
        try:
            found = self.session.run(list(map(self._interface.output, names)), wide)
        except engine_errors() as error:
            raise ModelError(f"onnxruntime fails on the graph ({reason_of(error)})", cure=UNCHECKED) from error
        values = {name: self._interface.read(name, value) for name, value in zip(names, found, strict=True)}
        return {
            name: Labels(values[name], values[self.logits[name][0]], self.logits[name][1])
            if name in self.logits
            else values[name]
            for name in self.outputs
        }


def _same(first: Feeds, second: Feeds) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


class TermsRunner:
    """Runs a model and records the magnitudes of the terms that its outputs are sums of.

    Attributes
    ----------
    largest
        The largest magnitude of the terms in all runs, by output.
    """

    def __init__(self, model: onnx.ModelProto, terms: Mapping[str, Sequence[str]]) -> None:
        import onnx

        self.model = model
        self.largest = dict.fromkeys(terms, 0.0)
        self._terms = terms
        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        added = {name for names in terms.values() for name in names} - {output.name for output in model.graph.output}
        exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(added))
        self._runner = GraphRunner(exposed)

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs by name."""
        values = self._runner(feeds)
        for output, names in self._terms.items():
            magnitudes = (magnitude(values_in(values[name])) for name in names)
            self.largest[output] = max(self.largest[output], *magnitudes)
        return {output.name: values[output.name] for output in self.model.graph.output}
