"""Say what is assumed about the preprocessing of a model, and where its metadata and the description disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.preprocess import IMAGENET, Preprocess
from fastscnn_opt.data.source import carried_table, folded_table
from fastscnn_opt.text import joined, letters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.data.description import PreprocessTable
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.model.metadata import Metadata

_NORMALISATION = ("image_mean", "image_std", "rescale_factor")

_RELATIVE = 1e-3
"""Mean and deviation are published with three digits or more."""

_SHOWN = 10
"""Classes in another place that a note names."""


def preprocess_notes(source: DataSource, metadata: Metadata, *, takes_bytes: bool) -> list[str]:
    """Return what a user has to know of the preprocessing of a model with this metadata, one sentence each.

    That is: ImageNet's mean or deviation where nothing states one, what the description and the model state
    differently, and a normalisation that is applied twice or not at all. `takes_bytes` tells that the input is uint8,
    which is never normalised outside the model.
    """
    described = source.table.preprocess.model_fields_set if source.description else set()
    carried = carried_table(metadata)
    notes = _contradictions(source.table.preprocess, carried, takes_bytes=takes_bytes) if described else []
    notes += _moved_classes(source, metadata.names)
    if takes_bytes:
        stated = bool(described & set(_NORMALISATION))
        if stated and metadata.folded:
            notes += _another_folded(source.table.preprocess, folded_table(metadata).complete(IMAGENET))
        elif stated and not metadata.preprocess:
            notes.append("the input is of type uint8 and gets the bytes; image_mean and image_std do not apply to it")
        return notes
    missing = [key for key in _NORMALISATION[:2] if key not in described | carried.model_fields_set]
    if missing:
        notes.append(
            f"neither the description nor the model states {joined(missing)}: ImageNet's are assumed; state what the "
            "model was trained with in [data.preprocess] of a --data FILE.toml"
        )
    if metadata.normalised_by and _normalises(source.preprocess_for(metadata)):
        notes.append(
            f"the model normalises its input itself, in {metadata.normalised_by!r}, and gets it normalised already; if "
            "it was exported to take plain images, say image_mean = [0] and image_std = [1] in [data.preprocess]"
        )
    return notes


def _another_folded(described: PreprocessTable, folded: Preprocess) -> list[str]:
    """Return a note if the normalisation in the weights of a model of bytes is not the one described."""
    ours = described.complete(folded)
    if _same_normalisation(ours, folded):
        return []
    keys = [key for key in _NORMALISATION if getattr(ours, key) != getattr(folded, key)]
    first, second = (_listed(keys, one) for one in (ours, folded))
    note = f"the model has {second} in its weights, and the description says {first}, which does not apply"
    return [f"{note}; run uint8-input again on the model before it"]


def _moved_classes(source: DataSource, names: Sequence[str]) -> list[str]:
    """Return a note if the model gives classes of the data other numbers, and no `prediction_map` says so."""
    if source.prediction_map or not source.has_classes:
        return []
    own = {letters(name): index for index, name in enumerate(source.classes.names)}
    moved = [(index, own[key]) for index, key in enumerate(map(letters, names)) if own.get(key, index) != index]
    if not moved:
        return []
    number, other = moved[0]
    pairs = ", ".join(f"{index} = {own}" for index, own in moved[:_SHOWN]) + ", ..." * (len(moved) > _SHOWN)
    note = f"class {number} of the model is called {names[number]!r}, which is class {other} of the data"
    return [f"{note}; if the names are right, say prediction_map = {{ {pairs} }} in [data]"]


def _contradictions(described: PreprocessTable, carried: PreprocessTable, *, takes_bytes: bool) -> list[str]:
    notes = []
    both = described.model_fields_set & carried.model_fields_set
    ours, model = described.complete(carried.complete(IMAGENET)), carried.complete(IMAGENET)
    if both & set(_NORMALISATION) and not takes_bytes and not _same_normalisation(ours, model):
        keys = [key for key in _NORMALISATION if key in both]
        notes.append(_contradiction(keys, ours, model))
    others = sorted(both - set(_NORMALISATION))
    notes += [_contradiction([key], ours, model) for key in others if getattr(ours, key) != getattr(model, key)]
    return notes


def _listed(keys: Sequence[str], preprocess: Preprocess) -> str:
    return joined([f"{key} = {_text(getattr(preprocess, key))}" for key in keys])


def _contradiction(keys: list[str], described: Preprocess, model: Preprocess) -> str:
    first, second = (_listed(keys, one) for one in (described, model))
    return f"the description says {first}, and the model {second}: the description is followed"


def _text(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _same_normalisation(first: Preprocess, second: Preprocess) -> bool:
    """Tell whether two preprocessings scale and shift bytes alike, whatever units they are stated in."""
    import numpy as np

    tables = [one.table(max(len(one.image_mean), len(one.image_std)), np.dtype(np.float64)) for one in (first, second)]
    one, other = np.broadcast_arrays(*tables)
    return np.allclose(one, other, rtol=_RELATIVE, atol=_RELATIVE)


def _normalises(preprocess: Preprocess) -> bool:
    return any(preprocess.image_mean) or any(value != 1 for value in preprocess.image_std)
