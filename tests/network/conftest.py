"""Checkpoints with random weights, and a plain reading of the network to compare with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fastscnn_opt.network.layout import Head, Layout, expected_entries
from fastscnn_opt.network.layouts import SEGMENTRON

Checkpoint = Callable[..., Path]


def _random_state(layout: Layout, heads: tuple[Head, ...] = (), classes: int = 19) -> dict[str, NDArray]:
    """Weights whose size keeps activations near one, and batch normalisation that is far from the identity."""
    random = np.random.default_rng(7)
    state: dict[str, NDArray] = {}
    for key, shape in expected_entries(layout, classes, heads).items():
        if key.endswith("num_batches_tracked"):
            state[key] = np.array(5)
        elif key.endswith(("running_var", "_variance")):
            state[key] = random.uniform(0.5, 2, shape).astype(np.float32)
        elif len(shape) == 4:
            state[key] = random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        elif key.endswith("weight"):
            state[key] = random.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            state[key] = random.normal(0, 0.2, shape).astype(np.float32)
    return state


@pytest.fixture
def random_state() -> Callable[..., dict[str, NDArray]]:
    """Make a state_dict of numpy arrays for a layout and some of its heads."""
    return _random_state


@pytest.fixture
def write_checkpoint(tmp_path: Path) -> Checkpoint:
    """Write a random checkpoint of a layout; `wrap` changes the state before it is saved."""
    torch = pytest.importorskip("torch", reason="checkpoints need torch")

    def write(
        layout: Layout = SEGMENTRON,
        heads: tuple[Head, ...] | None = None,
        wrap=lambda state: state,
        classes: int = 19,
    ) -> Path:
        heads = layout.heads if heads is None else heads
        state = {key: torch.from_numpy(np.array(value)) for key, value in _random_state(layout, heads, classes).items()}
        path = tmp_path / "checkpoint.pth"
        torch.save(wrap(state), path)
        return path

    return write


@pytest.fixture
def image() -> NDArray[np.float32]:
    """A normalised input image 1x3x64x128."""
    return np.random.default_rng(3).normal(size=(1, 3, 64, 128)).astype(np.float32)
