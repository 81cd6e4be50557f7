"""Runs models in onnxruntime for the verification of passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.engine import engine_errors, open_model, reason_of
from fastscnn_opt.rewriting.contract import Feeds, Labels, Tensor
from fastscnn_opt.rewriting.verification.comparing import magnitude, values_in
from fastscnn_opt.rewriting.verification.logits import expose_logits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx


class GraphRunner:
    """Runs a model in onnxruntime; a label output that an ArgMax made comes with the logits behind it.

    Raises
    ------
    ModelError
        onnxruntime refuses the model.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.outputs = [output.name for output in model.graph.output]
        executable, self.logits = expose_logits(expand_adaptive_pooling(model))
        self.session = open_model(executable, cure="to go on unchecked, use --no-verify")
        self._last: tuple[Feeds, dict[str, Tensor]] | None = None

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs by name."""
        if self._last is not None and _same(self._last[0], feeds):
            return dict(self._last[1])
        names = [*self.outputs, *(logits for logits, _ in self.logits.values())]
        try:
            values = dict(zip(names, self.session.run(names, dict(feeds)), strict=True))
        except engine_errors() as error:
            raise ModelError(f"onnxruntime fails on the graph ({reason_of(error)})") from error
        result: dict[str, Tensor] = {
            name: Labels(values[name], values[self.logits[name][0]], self.logits[name][1])
            if name in self.logits
            else values[name]
            for name in self.outputs
        }
        self._last = (dict(feeds), result)
        return dict(result)


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
