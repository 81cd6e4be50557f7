"""Compare an exported model in onnxruntime with its checkpoint in torch, on images."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import Breach, CheckpointError, GateError, ModelError
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.rewriting.verification.comparing import EXACT_TOLERANCE, magnitude

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session

GENERATED = DataSource(synthetic=2)
"""The images of a check where the user names none."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutputCheck:
    """How far an output of an exported model is from that of its checkpoint.

    Attributes
    ----------
    output
        Its name.
    same_labels
        The share of pixels with the same class.
    max_abs_diff
        The largest difference of two logits.
    max_rel_diff
        The largest difference, relative to the largest magnitude of the checkpoint's logits for the same batch.
    """

    output: str
    same_labels: float
    max_abs_diff: float
    max_rel_diff: float


@dataclass(frozen=True)
class ExportCheck:
    """How far an exported model in onnxruntime is from its checkpoint in torch.

    Attributes
    ----------
    data
        The images, in words.
    images
        Their number.
    outputs
        The outputs, in order.
    tolerance
        The largest `max_rel_diff` that is allowed: that of a pass whose contract is exact. Both sides compute in
        float32, and differ in the order of sums alone.
    """

    data: str
    images: int
    outputs: tuple[OutputCheck, ...]
    tolerance: float = EXACT_TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether all outputs are within the tolerance."""
        return not self._beyond

    @property
    def _beyond(self) -> list[OutputCheck]:
        return [output for output in self.outputs if not output.max_rel_diff <= self.tolerance]

    def to_json(self) -> dict[str, Any]:
        """Return the check as `export` prints it; an infinite deviation, which JSON cannot hold, is None."""
        known = {"passed": self.passed, **asdict(self)}
        for output in known["outputs"]:
            output |= {key: None for key in ("max_abs_diff", "max_rel_diff") if math.isinf(output[key])}
        return known

    def require(self, model: Path) -> None:
        """Raise GateError if an output of the file `model` is beyond the tolerance."""
        if self._beyond:
            raise GateError.of([Breach(str(model), self._words(output)) for output in self._beyond])

    def _words(self, output: OutputCheck) -> str:
        deviation = f"deviates from the checkpoint by {output.max_rel_diff:.3g} of its largest logit"
        return f"{output.output} {deviation}, and {self.tolerance:g} is allowed"


def require_torch(checkpoint: Path) -> None:
    """Raise CheckpointError if torch is missing, which the check needs even where the checkpoint does not."""
    try:
        import torch  # noqa: F401 - only to see whether it can be imported
    except ImportError as error:
        what, cure = "the check of its export needs torch", "install it with: pip install 'fastscnn-opt[export]'"
        raise CheckpointError(what, where=checkpoint, cure=cure) from error


def check_export(
    checkpoint: Path, model: Path, source: DataSource, *, outputs: Outputs, stem_padding: int | None
) -> ExportCheck:
    """Run the file `model`, just exported from a checkpoint, and the checkpoint in torch on the same images.

    `outputs` and `stem_padding` are those of the export. The two sides share what `wiring` and `layout` say of the
    network; folded batch normalisation, pooling, interpolation and all arithmetic are their own.

    Raises
    ------
    TargetError, ModelError
        onnxruntime does not run the model, or the model does not take the images.
    DataError
        An image cannot be used.
    """
    import torch

    from fastscnn_opt.measuring.onnx_session import OnnxSession, load_session, session_options
    from fastscnn_opt.network.checkpoint import load_checkpoint
    from fastscnn_opt.network.module import load_network

    loaded = load_checkpoint(checkpoint, with_heads=outputs is Outputs.ALL)
    network = load_network(replace(loaded, layout=loaded.layout.with_stem_padding(stem_padding)))
    session = OnnxSession(load_session(model, session_options()), model)
    found, counts = [], []
    for image, count in _batches(session, model, source):
        with torch.inference_mode():
            logits = network(torch.from_numpy(image), auxiliary=True)
        results = session.run({session.inputs[0].name: image}).items()
        found.append(
            [
                _compare(name, ours[:count], theirs.numpy()[:count])
                for (name, ours), theirs in zip(results, logits, strict=True)
            ]
        )
        counts.append(count)
    return ExportCheck(
        source.describe(), sum(counts), tuple(_joined(parts, counts) for parts in zip(*found, strict=True))
    )


def _batches(session: Session, model: Path, source: DataSource) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield the input of the model for all images, a batch at a time, and how many images the batch holds."""
    from fastscnn_opt.measuring.image_input import image_input, open_for

    metadata = read_metadata(model)
    source = source.for_model(metadata)
    preprocess = source.preprocess_for(metadata)
    dataset = open_for(source, session.inputs, preprocess)
    taken = image_input(session.inputs, preprocess=preprocess)
    for start in range(0, len(dataset), taken.batch):
        samples = [dataset.load(index) for index in range(start, min(start + taken.batch, len(dataset)))]
        _log.info("the check of the export on %s", samples[0].name)
        try:
            image: NDArray[np.float32] = taken.feed([sample.image for sample in samples])[taken.name]
        except ModelError as error:  # of images that have another size
            raise error.within(f"{model} on {samples[0].name}") from None
        yield image, len(samples)


def _compare(name: str, found: NDArray[Any], expected: NDArray[Any]) -> OutputCheck:
    """Compare the logits N, C, H, W of one batch."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(found - expected)
    difference[found == expected] = 0  # infinities, too
    worst = float(np.where(np.isnan(difference), np.inf, difference).max())
    same = float((found.argmax(1) == expected.argmax(1)).mean())
    return OutputCheck(name, same, worst, worst / (magnitude(expected) or 1.0))


def _joined(parts: Sequence[OutputCheck], counts: Sequence[int]) -> OutputCheck:
    """Return the figures of an output over all batches, which hold `counts` images."""
    same = float(np.average([part.same_labels for part in parts], weights=counts))
    return OutputCheck(
        parts[0].output, same, max(part.max_abs_diff for part in parts), max(part.max_rel_diff for part in parts)
    )
