"""Read a FastSCNN checkpoint safely and check that it fits one of the layouts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import CheckpointError
from fastscnn_opt.network.layout import Head, Layout, classes_in, expected_entries, heads_in
from fastscnn_opt.network.layouts import LAYOUTS, recognise
from fastscnn_opt.network.unpickling import MOST_BYTES, SAVE_ALONE, unpickle
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

SHOWN_KEYS = 3
"""How many keys an error message names before it only counts them."""

STATE_DICT = ("state_dict", "model", "model_state_dict")
"""The keys under which trainings store the weights, beside other things."""

PADDLE_NAMES = "StructuredToParameterName@@"
"""The key of paddle.save for a table of other names of the weights."""

SAVE_STATE_DICT = "save model.state_dict() with torch.save"

_BEFORE_DIVERGENCE = "use a checkpoint from before training diverged"

Weights = dict[str, "NDArray[np.float32]"]


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a FastSCNN, float32 by their names without a prefix, and what the file tells of the classes.

    `names` and `palette` (RGB) have one entry for each class, or none if the file does not tell.
    """

    layout: Layout
    classes: int
    heads: tuple[Head, ...]
    weights: Weights
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


def load_checkpoint(path: Path, *, with_heads: bool = True) -> Checkpoint:
    """Read a checkpoint of torch (.pth) or PaddleSeg (.pdparams).

    The file holds a bare `state_dict`, or a dict with one under ``state_dict``, ``model`` or ``model_state_dict``; its
    keys may have a prefix, such as ``module.``, and then those without it do not count. No code in the file is run.
    Without `with_heads`, auxiliary heads of any kind are left out.

    Raises
    ------
    CheckpointError
        The file cannot be read, is not a checkpoint, or does not fit FastSCNN; or it needs torch, which is missing.
    """
    content = unpickle(path)
    layout, state = _network(_state_dict(content, path), path)
    if not with_heads:
        state = {key: value for key, value in state.items() if not key.startswith(layout.names.heads)}
    heads = heads_in(layout, state)
    _check_keys(state, expected_entries(layout, 0, heads), layout, path)
    classes = classes_in(layout, state)
    _check_shapes(state, expected_entries(layout, classes, heads), layout, classes, path)
    weights = {key: _array(key, value, path) for key, value in state.items()}
    names, palette = _described_classes(content, classes)
    return Checkpoint(layout, classes, heads, weights, names, palette)


def _state_dict(content: Any, path: Path) -> dict[str, Any]:
    """Return the tensors in the unpickled content by name."""
    for _ in STATE_DICT:  # one may lie in another
        content = next((content[key] for key in STATE_DICT if _holds_mapping(content, key)), content)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError("holds no state_dict", where=path, cure=SAVE_STATE_DICT)
    state = {}
    for key, stored in content.items():
        value = stored[-1] if isinstance(stored, tuple) and len(stored) == 2 else stored  # Paddle's, behind a name
        if key == PADDLE_NAMES:
            continue
        if not isinstance(key, str):
            what = f"holds no state_dict (it has the key {key!r}, which is no text)"
            raise CheckpointError(what, where=path, cure=SAVE_STATE_DICT)
        if not _is_tensor(value):
            what = f"holds no state_dict ({key!r} is a {type(value).__name__}, not a tensor)"
            raise CheckpointError(what, where=path, cure=SAVE_STATE_DICT)
        if getattr(value, "is_nested", False):  # it has no shape
            raise CheckpointError(f"{key} is a nested tensor", where=path, cure="save it as a plain one")
        state[key] = value
    return state


def _holds_mapping(content: Any, key: str) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get(key), Mapping)


def _is_tensor(value: Any) -> bool:
    """Say whether a value is an array, or a tensor of torch, without importing torch."""
    return isinstance(value, np.ndarray) or hasattr(value, "is_quantized")


def _network(state: dict[str, Any], path: Path) -> tuple[Layout, dict[str, Any]]:
    """Return the layout, and the tensors of the network by their names without the prefix."""
    found = recognise({key: tuple(value.shape) for key, value in state.items()})
    if found is None:
        known = ", ".join(map(str, LAYOUTS))
        raise CheckpointError(
            f"not a FastSCNN checkpoint in a known layout ({known}): its {len(state)} keys begin with "
            f"{_shortened(state)}",
            where=path,
        )
    if (values := sum(math.prod(value.shape) for value in state.values())) * 4 > MOST_BYTES:
        what = f"its tensors have {values} values together, which no FastSCNN needs"
        raise CheckpointError(what, where=path, cure=SAVE_ALONE)
    layout, (prefix, *others) = found
    if others:
        raise CheckpointError(
            f"holds the network several times, under {', '.join(map(repr, (prefix, *others)))}",
            where=path,
            cure="save one of them alone",
        )
    return layout, {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _check_keys(state: Mapping[str, Any], expected: Iterable[str], layout: Layout, path: Path) -> None:
    known = list(expected)
    found = (
        ("missing", [key for key in known if key not in state]),
        ("unexpected", [key for key in state if key not in set(known)]),
    )
    complaints = [f"{len(keys)} {what} ({_shortened(keys)})" for what, keys in found if keys]
    if complaints:
        raise CheckpointError(
            f"does not fit FastSCNN in the {layout} layout, keys are {' and '.join(complaints)}",
            where=path,
            cure=_cure(layout, [key for _, keys in found for key in keys]),
        )


def _check_shapes(
    state: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], layout: Layout, classes: int, path: Path
) -> None:
    wrong = [key for key, shape in expected.items() if tuple(state[key].shape) != shape]
    if wrong:
        key = wrong[0]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise CheckpointError(
            f"{key} has shape {list(state[key].shape)}, FastSCNN in the {layout} layout for "
            f"{counted(classes, 'class', 'classes')} needs {list(expected[key])}{more}",
            where=path,
            cure=_cure(layout, wrong),
        )


def _cure(layout: Layout, keys: Sequence[str]) -> str:
    """Return how to mend a checkpoint in which these keys do not fit."""
    heads_alone = all(key.startswith(layout.names.heads) for key in keys)
    return "its auxiliary heads are of another kind, export the main output alone" if heads_alone else ""


def _array(key: str, value: Any, path: Path) -> NDArray[np.float32]:
    """Return a tensor as a float32 array whose values are finite."""
    if not isinstance(value, np.ndarray):
        value = _from_torch(key, value, path)
    if value.dtype.kind != "f" and (value.ndim or value.dtype.kind not in "iub"):
        raise CheckpointError(f"{key} is {value.dtype}, not a floating-point tensor", where=path)
    with np.errstate(over="ignore"):  # it becomes infinity
        array: NDArray[np.float32] = value.astype(np.float32)
    if (beyond := value[np.isfinite(value) & ~np.isfinite(array)]).size:
        raise CheckpointError(
            f"{key} holds {beyond[0]:g}, which is too large for float32", where=path, cure=_BEFORE_DIVERGENCE
        )
    if not np.isfinite(array).all():
        raise CheckpointError(f"{key} holds NaN or infinity", where=path, cure=_BEFORE_DIVERGENCE)
    return array


def _from_torch(key: str, value: Any, path: Path) -> NDArray[Any]:
    """Return the values of a tensor of torch, those of any floating-point type as float64."""
    if value.is_meta:
        what, cure = "has no values, it is on the device meta", "save it after the weights were loaded"
        raise CheckpointError(f"{key} {what}", where=path, cure=cure)
    if value.is_quantized:
        cure = "save the model from before its quantisation"
        raise CheckpointError(f"{key} is quantised ({value.dtype})", where=path, cure=cure)
    if value.is_complex():
        raise CheckpointError(f"{key} is {value.dtype}, not a floating-point tensor", where=path)
    try:
        value = value.detach().to_dense().resolve_neg()
        array: NDArray[Any] = (value.double() if value.is_floating_point() else value).numpy()
    except (RuntimeError, TypeError) as error:  # types that torch only stores
        what = f"{key} is {value.dtype}, which torch cannot turn into float32"
        raise CheckpointError(what, where=path, cure="convert it before it is saved") from error
    return array


def _described_classes(content: Any, classes: int) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Return the names and colours of the classes that mmsegmentation stores beside the weights, if they are all."""
    meta = content.get("meta")
    described = meta.get("dataset_meta", meta) if isinstance(meta, Mapping) else None
    told = {str(key).lower(): value for key, value in described.items()} if isinstance(described, Mapping) else {}
    names, palette = (_items(told.get(key), classes) for key in ("classes", "palette"))
    colours = [_items(colour, 3) for colour in palette]
    named = all(isinstance(name, str) for name in names)
    coloured = all(len(colour) == 3 and all(part in range(256) for part in colour) for colour in colours)
    return tuple(names) if named else (), tuple((int(r), int(g), int(b)) for r, g, b in colours) if coloured else ()


def _items(value: Any, count: int) -> Sequence[Any]:
    """Return a list or tuple of this length, or an empty one for anything else."""
    return value if isinstance(value, list | tuple) and len(value) == count else ()


def _shortened(keys: Iterable[str]) -> str:
    names = list(keys)
    shown = ", ".join(names[:SHOWN_KEYS])
    return shown if len(names) <= SHOWN_KEYS else f"{shown} and {len(names) - SHOWN_KEYS} more"
