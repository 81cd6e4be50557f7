"""The test models that the onnx package ships or generates, and others in folders, with their inputs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")


@dataclass(frozen=True)
class Case:
    """A test model and the inputs that come with it, by name."""

    name: str
    kind: str
    content: bytes
    feeds: list[dict[str, Any]]


def cases(kinds: Sequence[str], folders: list[Path]) -> Iterator[Case]:
    """Yield the models of the onnx package that are of one of `kinds`, and those in `folders`."""
    from onnx.backend.test.case import model as small_models
    from onnx.backend.test.case import node as operators

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference values of some operators overflow on purpose
        generated = [*operators.collect_testcases(None), *small_models.collect_testcases()]
    for case in generated:
        if case.kind in kinds and case.model is not None:
            feeds = [_named(case.model, inputs) for inputs, _ in case.data_sets]
            yield Case(case.name, case.kind, case.model.SerializeToString(), feeds)
    shipped = Path(onnx.__file__).parent / "backend/test/data"
    for folder in [*(shipped / kind for kind in kinds if kind.startswith("pytorch")), *folders]:
        for file in sorted(folder.rglob("model.onnx")):
            yield _case_in(file, folder.name)
    for file in sorted((shipped / "light").glob("*.onnx")) if "light" in kinds else ():
        model = onnx.load(file)
        yield Case(file.stem, "light", model.SerializeToString(), [_random_feeds(model)])


def _case_in(file: Path, kind: str) -> Case:
    model = onnx.load(file)
    feeds = []
    for data in sorted(file.parent.glob("test_data_set_*")):
        files = sorted(data.glob("input_*.pb"), key=lambda path: int(path.stem.removeprefix("input_")))
        types = (value.type for value in fed_inputs(model))
        feeds.append(_named(model, [_read(path, kind) for path, kind in zip(files, types, strict=False)]))
    return Case(file.parent.name, kind, model.SerializeToString(), feeds or [_random_feeds(model)])


def _read(file: Path, kind: onnx.TypeProto) -> Any:
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(file.read_bytes()))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(file.read_bytes()))
    return onnx.load_tensor(file)


def fed_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs without a default value."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def _named(model: onnx.ModelProto, inputs: list[Any]) -> dict[str, Any]:
    arrays = [numpy_helper.to_array(one) if isinstance(one, onnx.TensorProto) else one for one in inputs]
    return {value.name: array for value, array in zip(fed_inputs(model), arrays, strict=False)}


def _random_feeds(model: onnx.ModelProto) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    feeds = {}
    for value in fed_inputs(model):
        tensor = value.type.tensor_type
        shape = [dim.dim_value or 1 for dim in tensor.shape.dim]
        feeds[value.name] = rng.random(shape).astype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return feeds
