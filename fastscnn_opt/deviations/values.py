"""Run two models on the same images, and compare the values of their tensors."""

from __future__ import annotations

import logging
import math
import os
from typing import TYPE_CHECKING

from fastscnn_opt.deviations.feeds import PairedFeeds, feeds_of_images, generated_feeds
from fastscnn_opt.deviations.figures import Sums, db
from fastscnn_opt.deviations.noise import layers, noise_of_layers, origin
from fastscnn_opt.deviations.pairing import pair_tensors
from fastscnn_opt.deviations.result import TensorDeviation, ValuesDiff
from fastscnn_opt.deviations.runner import InnerRunner, parts
from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.diff.scope import Scope
    from fastscnn_opt.progress import Advance

MIN_SNR_DB = 40.0
"""A deviation of a hundredth of the tensor, root mean square: more than float16 makes, and less than int8."""

_LOG = logging.getLogger(__name__)


def diff_values(
    first: onnx.ModelProto | str | os.PathLike[str],
    second: onnx.ModelProto | str | os.PathLike[str],
    data: str | os.PathLike[str] | DataSource | None = None,
    *,
    min_snr_db: float = MIN_SNR_DB,
    progress: ProgressBar = no_progress_bar,
) -> ValuesDiff:
    """Run two models that compute the same thing on the same images, and compare the values of their tensors.

    Float tensors that depend on an input are compared, in float64. They are paired by name, through casts and
    quantisation, and by structure where names do not help. A quantised tensor counts as nodes read it, dequantised. A
    pair whose shapes differ is none. This process runs both models in ONNX Runtime on the CPU. Each run returns a part
    of the tensors, so that memory stays bounded.

    Parameters
    ----------
    first, second
        Models, or paths of ONNX files.
    data
        The root of a Cityscapes tree, a TOML file that describes a dataset, or a `DataSource`; without a limit, the
        first 8 images are taken. Each model gets them as it takes them. Without `data`, both get one generated input,
        which they must take in the same shape.
    min_snr_db
        The signal-to-noise ratio that a tensor should have: 10 log10(sum a^2 / sum (a - b)^2), with a of the first
        model and b of the second.
    progress
        Shows how many of the runs are done.

    Raises
    ------
    ModelError
        A model cannot be read or run, they do not take the same input, or no tensor has a partner.
    DataError
        The images cannot be read.
    """
    one, two = _runner(first, "the first model"), _runner(second, "the second model")
    pairs = pair_tensors(one, two)
    feeds = generated_feeds(one, two) if data is None else feeds_of_images(one, two, data)
    sums: dict[str, Sums] = {}
    noise: dict[str, float] = {}
    groups = list(parts(pairs, one, two))
    runs = len(groups) * feeds.count
    with progress(runs, "runs") as advance:
        for group in groups:
            sums |= _compare(group, one, two, feeds, advance)
        if any(db(found.noise) < min_snr_db for found in sums.values()):
            advance(0, runs + len(layers(one.graph.scope, sums)))
            noise = noise_of_layers((one, two), pairs, sums, feeds.load(0), advance)
    if not sums:
        raise ModelError(
            "no float tensor of the two models has a partner of the same shape",
            where=two.where,
            cure="compare two forms of one network, whose inputs have the same size",
        )
    partners = {pairs[name] for name in sums}
    return ValuesDiff(
        min_snr_db,
        0 if data is None else feeds.count,
        [_row(one.graph.scope, name, pairs[name], sums, noise.get(name, 0.0), min_snr_db) for name in sums],
        [name for name in one.forms if name not in sums],
        [name for name in two.forms if name not in partners],
    )


def _runner(model: onnx.ModelProto | str | os.PathLike[str], name: str) -> InnerRunner:
    if isinstance(model, (str, os.PathLike)):
        model, name = load_model(model), str(model)
    return InnerRunner(expand_adaptive_pooling(model), name)


def _compare(
    pairs: dict[str, str], first: InnerRunner, second: InnerRunner, feeds: PairedFeeds, advance: Advance
) -> dict[str, Sums]:
    """Run both models on all images; return the sums of the pairs whose shapes agree, by the first name."""
    sums = {name: Sums(is_output=name in first.graph.scope.outputs) for name in pairs}
    run, other_run = first.opened(list(pairs)), second.opened(list(pairs.values()))
    for index in range(feeds.count):
        _LOG.info("the comparison of %s", counted(len(pairs), "tensor"))
        one, two = feeds.load(index)
        for name, a, b in zip(pairs, run(one), other_run(two), strict=True):
            if a.shape != b.shape:
                sums.pop(name, None)
            elif name in sums:
                sums[name].add(a, b)
        advance(1)
    return sums


def _row(
    scope: Scope, name: str, other: str, sums: Mapping[str, Sums], end_noise: float, min_snr_db: float
) -> TensorDeviation:
    found = sums[name]
    finite = math.isfinite(found.largest)
    return TensorDeviation(
        tensor=name,
        other=other,
        operators="+".join(scope.nodes[number].op for number in origin(scope, name, sums)[0]) or "input",
        max_abs=found.largest if finite else None,
        relative=found.largest / found.largest_a if finite and found.largest_a else None,
        cosine=found.cosine,
        snr_db=_finite_db(found.noise),
        end_db=_finite_db(end_noise),
        same=found.noise == 0,
        rescaled=bool((found.factors != 1).any()),
        is_beyond=db(found.noise) < min_snr_db,
    )


def _finite_db(noise: float) -> float | None:
    return db(noise) if 0 < noise < math.inf else None
