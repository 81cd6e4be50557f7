"""Train the demo network: ``python -m fastscnn_opt.demo.training --out DIR``. Needs torch.

Made for two CPU cores and an hour. Scenes of seeds from 1,000,000 on are learned from and scenes of seeds from
2,000,000 on are validated with; evaluations count from seed 0, so they never see either. The first part of the time
goes to crops; the rest to whole frames with batch normalisation frozen, because the pyramid pooling sees other
statistics in a crop than in a frame. What is kept is an exponential moving average of the weights. The schedule
follows the clock, not the steps: a slower machine learns less, not longer. Where other programs share the cores, set
OMP_WAIT_POLICY=PASSIVE, or OpenMP's spinning threads make every step many times slower.

DIR receives the scenes, ``checkpoint.pth`` (from which ``--resume`` goes on), ``log.jsonl`` and in the end
``demo.onnx`` and ``demo.pth``; with ``--install`` the first and the log replace the ones bundled with the package.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from fastscnn_opt.data.classes import CLASSES
from fastscnn_opt.demo.network import DEMO_FILE, store_as_float16
from fastscnn_opt.demo.training_loss import total_loss
from fastscnn_opt.demo.training_scenes import Scenes, class_frequencies, frames, normalised, random_crops, rendered
from fastscnn_opt.network.export import build_model
from fastscnn_opt.network.layout import Layout
from fastscnn_opt.network.module import FastSCNN

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

TRAINING_SEED = 1_000_000
VALIDATION_SEED = 2_000_000
VALIDATION_SCENES = 16

CROP = (512, 1024)
CROP_BATCH = 4
FRAME = (1024, 2048)
FRAME_BATCH = 2
CROP_SHARE = 0.75
"""Share of the time that goes to crops."""

LOSS_STEP = 4
"""The loss looks at every fourth row and column of the full resolution, from a random start."""

LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
WARM_UP = 0.03
"""Share of the time in which the learning rate rises."""

AVERAGE_DECAY = 0.995
"""Decay per step of the moving average of the weights."""

CHECKPOINT_MINUTES = 2.0
VALIDATION_MINUTES = 6.0
LOG_STEPS = 25


@dataclass(frozen=True)
class Options:
    """What the command line decides: folder, time, number of training scenes, threads."""

    out: Path
    minutes: float = 50.0
    scenes: int = 800
    first_seed: int = TRAINING_SEED
    threads: int = 2
    resume: bool = False
    install: bool = False


class Training:
    """Everything that changes while training, and how it is saved and restored.

    Randomness in step n comes from a generator seeded with n, so a resumed training needs no other state than the step.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        torch.manual_seed(0)
        self.folder = folder
        self.minutes = minutes
        self.network = FastSCNN(Layout.SEGMENTRON, Layout.SEGMENTRON.auxiliary_heads)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network), lr=LEARNING_RATE)
        self.step = 0
        self.elapsed = 0.0

    @property
    def progress(self) -> float:
        """Share of the time that has passed, 0 to 1."""
        return min(self.elapsed / self.minutes, 1.0)

    @property
    def checkpoint(self) -> Path:
        """File that `save` writes and `restore` reads."""
        return self.folder / "checkpoint.pth"

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def restore(self) -> None:
        """Go on from the checkpoint."""
        state = torch.load(self.checkpoint, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]

    def advance(self, scenes: Scenes, class_weights: Tensor) -> float:
        """Take one step and return its loss."""
        whole = self.progress >= CROP_SHARE
        self.network.train()
        if whole:
            freeze_batch_norm(self.network)
        generator = torch.Generator().manual_seed(self.step)
        size, batch = (FRAME, FRAME_BATCH) if whole else (CROP, CROP_BATCH)
        images, labels = random_crops(scenes, size, batch, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.progress)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self.network(normalised(images), auxiliary=True, size=(size[0] // 8, size[1] // 8))
        loss = total_loss(outputs, labels, class_weights, LOSS_STEP, generator)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it without annotations
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        update_average(self.average, self.network, min(AVERAGE_DECAY, self.step / (self.step + 10)))
        return loss.item()


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Split the parameters: convolution weights decay, biases and batch normalisation do not."""
    decaying = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
    return [{"params": decaying, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]


def learning_rate(progress: float) -> float:
    """Return the learning rate: a linear rise, then half a cosine to zero."""
    if progress < WARM_UP:
        return LEARNING_RATE * max(progress / WARM_UP, 0.02)
    return LEARNING_RATE * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


def freeze_batch_norm(network: nn.Module) -> None:
    """Make batch normalisation use and keep its running statistics; two frames are too few for the coarsest pooling."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move every weight and statistic of `average` towards `network`."""
    for kept, current in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)


def weights_of(frequencies: NDArray[np.float64]) -> Tensor:
    """Return class weights, the inverse root of each frequency, that leave the mean weight of a pixel at 1."""
    weights = 1 / np.sqrt(np.maximum(frequencies, 1e-4))
    return torch.from_numpy(weights / (weights * frequencies).sum()).float()


@torch.no_grad()
def evaluate(network: FastSCNN, scenes: Scenes) -> dict[str, Any]:
    """Return pixAcc, mIoU and the IoU of each class over whole scenes at full resolution, from one confusion matrix."""
    count = len(CLASSES)
    confusion = np.zeros(count * count, dtype=np.int64)
    network.eval()
    for images, labels in frames(scenes, 1):
        with torch.autocast("cpu", torch.bfloat16):
            (logits,) = network(normalised(images))
        predictions = logits.argmax(dim=1).numpy()
        labelled = labels < count
        cells = labels[labelled].astype(np.int64) * count + predictions[labelled]
        confusion += np.bincount(cells, minlength=confusion.size)
    matrix = confusion.reshape(count, count)
    right = matrix.diagonal()
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - right
    iou = {name: round(float(right[i] / union[i]), 4) for i, name in enumerate(CLASSES) if union[i]}
    return {
        "pixAcc": round(float(right.sum() / matrix.sum()), 4),
        "mIoU": round(sum(iou.values()) / len(iou), 4),
        "iou": iou,
    }


def train(options: Options) -> None:
    """Render the scenes, train, and write the result; see the module's docstring."""
    torch.set_num_threads(options.threads)
    scenes = rendered(options.out, options.first_seed, options.scenes, options.threads)
    held_out = rendered(options.out, VALIDATION_SEED, VALIDATION_SCENES, options.threads)
    class_weights = weights_of(class_frequencies(scenes))
    training = Training(options.out, options.minutes)
    log_file = options.out / "log.jsonl"
    if options.resume and training.checkpoint.exists():
        training.restore()
    else:
        log_file.unlink(missing_ok=True)

    def log(**figures: Any) -> None:
        row = {"step": training.step, "minutes": round(training.elapsed, 2), **figures}
        with log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        logger.info("%s", row)

    run(training, scenes, held_out, class_weights, log)
    log(phase="final", **evaluate(training.average, held_out))
    finish(training, options, log_file)


def run(training: Training, scenes: Scenes, held_out: Scenes, class_weights: Tensor, log: Callable[..., None]) -> None:
    """Take steps until the time is over; log, validate and save now and then. Validation does not count as time."""
    saved = validated = training.elapsed
    losses: list[float] = []
    while training.progress < 1:
        start = time.monotonic()
        losses.append(training.advance(scenes, class_weights))
        training.elapsed += (time.monotonic() - start) / 60
        if training.step % LOG_STEPS == 0:
            log(loss=round(sum(losses) / len(losses), 4), lr=round(learning_rate(training.progress), 6))
            losses.clear()
        if training.elapsed - saved >= CHECKPOINT_MINUTES:
            training.save()
            saved = training.elapsed
        if training.elapsed - validated >= VALIDATION_MINUTES:
            log(**evaluate(training.average, held_out))
            validated = training.elapsed
    training.save()


def finish(training: Training, options: Options, log_file: Path) -> None:
    """Write the averaged weights as ``demo.pth`` and, rounded to float16, ``demo.onnx``; install these if asked to."""
    state = {key: value.contiguous() for key, value in training.average.state_dict().items()}
    torch.save(state, options.out / "demo.pth")
    weights = {key: value.float().numpy() for key, value in state.items()}
    layout = Layout.SEGMENTRON
    model = store_as_float16(build_model(layout, weights, heads=layout.auxiliary_heads))
    onnx.save(model, options.out / DEMO_FILE)
    if options.install:
        package = Path(__file__).parent
        shutil.copyfile(options.out / DEMO_FILE, package / DEMO_FILE)
        shutil.copyfile(log_file, package / "demo_training.jsonl")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m fastscnn_opt.demo.training", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes, checkpoints, log and result")
    parser.add_argument("--minutes", type=float, default=Options.minutes, help="training time (default %(default)s)")
    parser.add_argument("--scenes", type=int, default=Options.scenes, help="training scenes (default %(default)s)")
    parser.add_argument("--seed-base", dest="first_seed", type=int, default=TRAINING_SEED, help="first training seed")
    parser.add_argument("--threads", type=int, default=Options.threads, help="CPU threads (default %(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the folder")
    parser.add_argument("--install", action="store_true", help="replace the network bundled with the package")
    options = Options(**vars(parser.parse_args(arguments)))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    train(options)


if __name__ == "__main__":
    main()
