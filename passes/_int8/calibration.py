"""Measure the ranges of the activations of a network on sample images."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.files import naming
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.engine import engine_errors, open_model, reason_of, silence_engine
from fastscnn_opt.model.saving import fingerprint
from fastscnn_opt.model.skeleton import Skeleton
from fastscnn_opt.rewriting.graph.content import model_of
from fastscnn_opt.rewriting.graph.importing import import_model
from fastscnn_opt.rewriting.graph.inference import Inferred
from fastscnn_opt.rewriting.graph.tidying import tidy

from .caching import cached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx
    from numpy.typing import NDArray

    from .images import CalibrationImages

Ranges = dict[str, tuple[float, float]]
"""Lowest and highest value of a tensor that uint8 represents, by the name of the tensor."""

_PERCENTILE = 99.999
"""Share of the values, in percent, that stays inside the range. Of the usual 99.9, 99.99 and 99.999, this one moved the
logits of a trained FastSCNN least."""

_log = logging.getLogger(__name__)


class Method(StrEnum):
    """How the range of a tensor follows from its values."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"


def channel_maxima(
    model: onnx.ModelProto, tensors: Sequence[str], images: CalibrationImages
) -> dict[str, NDArray[np.float64]]:
    """Return the largest magnitude in every channel (axis 1) of some tensors over all images."""

    def measure() -> dict[str, list[float]]:
        import onnx

        part = _cut(model, tensors)
        pooled = [f"{name}/largest" for name in tensors]
        del part.graph.output[:]
        for name, largest in zip(tensors, pooled, strict=True):
            part.graph.node.append(onnx.helper.make_node("Abs", [name], [f"{name}/magnitude"]))
            part.graph.node.append(onnx.helper.make_node("GlobalMaxPool", [f"{name}/magnitude"], [largest]))
            part.graph.output.append(onnx.helper.make_tensor_value_info(largest, onnx.TensorProto.FLOAT, None))
        session = open_model(part)
        runs = [session.run(pooled, feeds) for feeds in images.feeds()]
        return {
            name: np.max([run[index].max(axis=0) for run in runs], axis=0).ravel().tolist()
            for index, name in enumerate(tensors)
        }

    found = cached("channel-magnitudes", measure, fingerprint(model), images.fingerprint(), *tensors)
    return {name: np.asarray(values) for name, values in found.items()}


def calibrate(model: onnx.ModelProto, ends: Sequence[str], method: Method, images: CalibrationImages) -> Ranges:
    """Return the range of every float tensor of `model` up to the tensors `ends`, by onnxruntime's calibrators."""

    def measure() -> Ranges:
        from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

        methods = {
            Method.MINMAX: (CalibrationMethod.MinMax, {}),
            Method.PERCENTILE: (CalibrationMethod.Percentile, {"percentile": _PERCENTILE, "symmetric": False}),
            Method.ENTROPY: (CalibrationMethod.Entropy, {}),
        }
        kind, options = methods[method]
        with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder, _silent():
            file = Path(folder) / "model.onnx"
            with naming(file):
                file.write_bytes(_cut(model, ends).SerializeToString())
            try:
                calibrator = create_calibrator(
                    file,
                    augmented_model_path=str(Path(folder) / "augmented.onnx"),
                    calibrate_method=kind,
                    extra_options=options,
                )
                for feeds in images.feeds():  # one at a time: a histogram wants every tensor of an image in memory
                    calibrator.collect_data(_Reader(iter([feeds])))
                data = calibrator.compute_data()
            except engine_errors() as error:  # a ValueError is one of numpy's histogram
                what = f"no ranges can be measured on the images with method={method}: {reason_of(error)}"
                cure = "method=minmax leaves layers in float that read what is infinite"
                raise PassError(what, cure="" if method is Method.MINMAX else cure) from error
        return {name: (data[name].lowest.item(), data[name].highest.item()) for name in sorted(data.keys())}

    found = cached("calibration", measure, fingerprint(model), images.fingerprint(), method, *ends, str(_PERCENTILE))
    return {name: (low, high) for name, (low, high) in found.items()}


def _cut(model: onnx.ModelProto, ends: Sequence[str]) -> onnx.ModelProto:
    """Return the part of `model` that makes the tensors `ends`, in operators that onnxruntime has."""
    whole = expand_adaptive_pooling(model)
    graph, _ = import_model(whole, Inferred(Skeleton(whole, "the model").infer()).types)
    tensors = {tensor.name: tensor for node in graph.nodes for tensor in node.outputs}
    graph.outputs = [tensors[name] for name in ends]
    tidy(graph)
    return model_of(graph)


class _Reader:
    """Hands feeds to a calibrator one by one, as its `CalibrationDataReader` does."""

    def __init__(self, feeds: Iterator[dict[str, NDArray[np.generic]]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the next feeds, or None at the end."""
        return next(self._feeds, None)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Log what the calibrators print instead: standard output belongs to the result."""
    silence_engine()
    words = io.StringIO()
    with contextlib.redirect_stdout(words), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, about tensors without a number
        yield
    for line in words.getvalue().splitlines():
        _log.debug("%s", line)
