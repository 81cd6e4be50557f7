"""The tail alone: `fast-argmax` against Resize and ArgMax, on the logits of real images and on random ones.

    python benchmarks/tail.py MODEL.onnx DATASET [--split val] [--images 8] [--rounds 10]

MODEL has one output of logits that a linear Resize makes. Both tails start from the same logits of low resolution, in
one process, in turns; threads stop spinning after each run. It ends with an error if the labels differ anywhere but
where the two best logits tie within 1e-4 of the largest.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from side_by_side import split

from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.data.preprocess import normalise
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.measuring.latency import ratio_to_baseline
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.rewriting.manager import PassManager

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    import onnxruntime as ort
    from numpy.typing import NDArray


def session(model: onnx.ModelProto, threads: int) -> ort.InferenceSession:
    """Return an engine whose idle threads do not disturb another's."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(engine: ort.InferenceSession, value: NDArray[Any]) -> NDArray[Any]:
    """Run once on one input and return the first output."""
    result: NDArray[Any] = engine.run(None, {engine.get_inputs()[0].name: value})[0]
    return result


def compare(name: str, tails: Sequence[ort.InferenceSession], logits: NDArray[Any], rounds: int) -> None:
    """Time both `tails`, the dense and the fast one, on `logits` in turns and print a row."""
    times = np.zeros((2, rounds))
    for number in range(rounds):
        for index, engine in enumerate(tails):
            run(engine, logits)
            start = perf_counter()
            labels = run(engine, logits)
            times[index, number] = 1000 * (perf_counter() - start)
            if index == 0:
                wanted = labels
    ratio = ratio_to_baseline(times[0][:, None], times[1][:, None], baseline_batch=1, batch=1)
    low, high = f"{ratio.low:.2f}", f"{ratio.high:.2f}"
    moved = int((labels != wanted).sum())
    before, after = np.median(times, axis=1)
    print(f"| {name} | {before:.1f} | {after:.1f} | {ratio.value:.2f} [{low}, {high}] | {moved} |")
    if moved > 1e-5 * labels.size:
        raise SystemExit(f"{moved} labels differ, too many for ties")


def main() -> None:
    """Print a row for each image, and two for random logits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="root of a Cityscapes tree")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    body, tail = split(load_model(given.model))
    network, dense = session(body, given.threads), session(tail, given.threads)
    fast = session(PassManager("fast-argmax", verify=False).run(tail).model, given.threads)
    print("| logits | Resize, ArgMax ms | fast-argmax ms | ratio [95 %] | labels that differ |")
    print("| --- | ---: | ---: | ---: | ---: |")
    dataset = DataSource(str(given.data), given.split, limit=given.images).open()
    for sample in prefetch(dataset.load, len(dataset)):
        logits = run(network, normalise(sample.image[None]))
        compare(sample.name, (dense, fast), logits, given.rounds)
    noise = np.random.default_rng(0).standard_normal(logits.shape, dtype=np.float32)
    compare("random, every cell uncertain", (dense, fast), noise, given.rounds)
    coarse = noise[:, :, ::4, ::4].repeat(4, axis=2).repeat(4, axis=3)
    compare("random squares", (dense, fast), np.ascontiguousarray(coarse), given.rounds)


if __name__ == "__main__":
    main()
