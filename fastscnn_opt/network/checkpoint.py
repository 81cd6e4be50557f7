"""Read a FastSCNN checkpoint safely and check that it fits one of the two layouts. Needs torch."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import CheckpointError
from fastscnn_opt.network.layout import CheckpointLayout, expected_entries, heads_in, recognise

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SHOWN_KEYS = 3
"""How many keys an error message names before it only counts them."""

DATA_PARALLEL_PREFIX = "module."
"""What `torch.nn.DataParallel` puts in front of every key."""

MOST_BYTES = 1 << 31
"""What a checkpoint may unpack to. FastSCNN has 5 MB of weights; the state of a training has a few times as much."""

NO_CHECKPOINT = "not a checkpoint written by torch.save, or a truncated one"
SAVE_AGAIN = "download it or save it again"


def load_checkpoint(path: Path) -> tuple[CheckpointLayout, dict[str, Tensor]]:
    """Read a checkpoint and return its layout and its `state_dict`, ready for ``load_state_dict(strict=True)``.

    The file holds a bare `state_dict` or a dict with one under ``state_dict``; keys may carry the ``module.`` prefix.
    Only plain tensors and containers are unpickled (``weights_only=True``), so a hostile file cannot run code.
    Tensors come back on the CPU with the dtype of the file.

    Raises
    ------
    CheckpointError
        The file cannot be read, is not a checkpoint, or does not fit FastSCNN; or torch is not installed.
    """
    state = _state_dict(_unpickle(path), path)
    layout = recognise(state)
    if layout is None:
        raise CheckpointError(
            f"not a FastSCNN checkpoint in the SegmenTron or the Tramac layout: its {len(state)} keys begin with "
            f"{_shortened(state)}",
            where=path,
        )
    expected = expected_entries(layout, heads_in(layout, state))
    _check_keys(state, expected, layout, path)
    _check_tensors(state, expected, layout, path)
    return layout, state


def _unpickle(path: Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise CheckpointError(
            "reading a checkpoint needs torch", where=path, cure="install it with: pip install 'fastscnn-opt[export]'"
        ) from error
    try:
        unpacked = _unpacked_bytes(path)
        if unpacked <= MOST_BYTES:
            with path.open("rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about pickle protocols; what matters raises
                return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror or error})", where=path) from error
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except Exception as error:  # a damaged pickle can raise anything at all
        raise CheckpointError(NO_CHECKPOINT, where=path, cure=SAVE_AGAIN) from error
    raise CheckpointError(
        f"unpacks to {unpacked / 2**30:.1f} GiB, which no FastSCNN needs",
        where=path,
        cure="save model.state_dict() alone",
    )


def _unpacked_bytes(path: Path) -> int:
    """Return the unpacked size of a checkpoint that is a ZIP archive, since a small one can fill the memory; else 0."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _refusal(path: Path, reason: str) -> CheckpointError:
    """Return the error for a file that the restricted unpickler refused: it holds code, or is no pickle at all."""
    if wanted := re.search(r"GLOBAL\s+(\S+)", reason):
        return CheckpointError(
            f"refused, because loading it would run {wanted.group(1)!r} and not only read tensors",
            where=path,
            cure="save model.state_dict() alone with torch.save",
        )
    return CheckpointError(NO_CHECKPOINT, where=path, cure=SAVE_AGAIN)


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state_dict in the unpickled content, without the prefix of DataParallel."""
    import torch

    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError("holds no state_dict", where=path, cure="save model.state_dict() with torch.save")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(
                f"holds no state_dict ({key!r} is a {type(value).__name__}, not a tensor)",
                where=path,
                cure="save model.state_dict() with torch.save",
            )
    return {key.removeprefix(DATA_PARALLEL_PREFIX): value for key, value in content.items()}


def _check_keys(
    state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], layout: CheckpointLayout, path: Path
) -> None:
    found = (
        ("missing", [key for key in expected if key not in state]),
        ("unexpected", [key for key in state if key not in expected]),
    )
    complaints = [f"{len(keys)} {what} ({_shortened(keys)})" for what, keys in found if keys]
    if complaints:
        raise CheckpointError(
            f"does not fit FastSCNN in the {layout} layout, keys are {' and '.join(complaints)}", where=path
        )


def _check_tensors(
    state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], layout: CheckpointLayout, path: Path
) -> None:
    wrong = [key for key, shape in expected.items() if tuple(state[key].shape) != shape]
    if wrong:
        key = wrong[0]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise CheckpointError(
            f"{key} has shape {list(state[key].shape)}, FastSCNN in the {layout} layout for 19 classes needs "
            f"{list(expected[key])}{more}",
            where=path,
        )
    for key, value in state.items():
        if value.is_complex() or value.is_quantized or (value.dim() and not value.is_floating_point()):
            raise CheckpointError(f"{key} is {value.dtype}, not a floating-point tensor", where=path)
        if not value.isfinite().all():
            raise CheckpointError(
                f"{key} holds NaN or infinity", where=path, cure="use a checkpoint from before training diverged"
            )


def _shortened(keys: Iterable[str]) -> str:
    names = list(keys)
    shown = ", ".join(names[:SHOWN_KEYS])
    return shown if len(names) <= SHOWN_KEYS else f"{shown} and {len(names) - SHOWN_KEYS} more"
