"""Checkpoints with random weights, and a plain reading of the network to compare with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from fastscnn_opt.network.layout import Layout, expected_entries

Checkpoint = Callable[..., Path]


def _random_state(layout: Layout, heads: tuple[str, ...] = ()) -> dict[str, NDArray]:
    """Weights whose size keeps activations near one, and batch normalisation that is far from the identity."""
    random = np.random.default_rng(7)
    state: dict[str, NDArray] = {}
    for key, shape in expected_entries(layout, heads).items():
        if key.endswith("num_batches_tracked"):
            state[key] = np.array(5)
        elif key.endswith("running_var"):
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
        layout: Layout = Layout.SEGMENTRON, heads: tuple[str, ...] | None = None, wrap=lambda state: state
    ) -> Path:
        heads = layout.auxiliary_heads if heads is None else heads
        state = {key: torch.from_numpy(np.array(value)) for key, value in _random_state(layout, heads).items()}
        path = tmp_path / "checkpoint.pth"
        torch.save(wrap(state), path)
        return path

    return write


@pytest.fixture
def image() -> NDArray[np.float32]:
    """A normalised input image 1x3x64x128."""
    return np.random.default_rng(3).normal(size=(1, 3, 64, 128)).astype(np.float32)


def _with_lowered_pooling(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every AdaptiveAvgPool2d by slices and means, window by window, so that onnxruntime can run the model."""
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim] for info in lowered.graph.value_info
    }
    nodes: list[onnx.NodeProto] = []
    for node in lowered.graph.node:
        if node.op_type != "AdaptiveAvgPool2d":
            nodes.append(node)
            continue
        bins = next(attribute.ints for attribute in node.attribute if attribute.name == "output_size")
        source = node.input[0]
        for axis, count in zip((2, 3), bins, strict=True):
            source = _pooled(lowered.graph, nodes, source, axis, shapes[node.input[0]][axis], count)
        nodes[-1].output[0] = node.output[0]
    del lowered.graph.node[:]
    lowered.graph.node.extend(nodes)
    return lowered


def _pooled(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], source: str, axis: int, length: int, bins: int) -> str:
    name = f"{source}_{axis}_{bins}"
    means = []
    for index in range(bins):
        window = (index * length // bins, -(-(index + 1) * length // bins))
        bounds = []
        for part, value in (("from", window[0]), ("to", window[1]), ("axis", axis)):
            bounds.append(f"{name}_{index}_{part}")
            graph.initializer.append(numpy_helper.from_array(np.array([value]), bounds[-1]))
        nodes.append(helper.make_node("Slice", [source, *bounds], [f"{name}_{index}_slice"]))
        means.append(f"{name}_{index}_mean")
        nodes.append(helper.make_node("ReduceMean", [f"{name}_{index}_slice"], [means[-1]], axes=[axis], keepdims=1))
    nodes.append(helper.make_node("Concat", means, [name], axis=axis))
    return name


@pytest.fixture
def run() -> Callable[[onnx.ModelProto, NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Run a model with onnxruntime, adaptive pooling lowered."""
    return _run


def _run(model: onnx.ModelProto, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        _with_lowered_pooling(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"image": image})
