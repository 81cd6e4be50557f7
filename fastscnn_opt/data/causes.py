"""Name the likely cause where a dataset is readable and still not what its description says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fastscnn_opt.data.preprocess import IMAGENET, Resize
from fastscnn_opt.data.presets import preset_names, read_preset
from fastscnn_opt.text import counted, letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastscnn_opt.data.checking import DataCheck

_VOID = ("void", "unlabelled", "unlabeled", "ignore", "ignored")
"""Names that datasets give to pixels that nobody labelled."""

_NAMED = 8
"""Classes and files that a note names before it counts the rest."""


def likely_causes(check: DataCheck) -> list[str]:
    """Return one sentence for everything in a dataset that is possible and rarely meant, with its likely cause."""
    return [*_about_values(check), *_about_classes(check), *_about_files(check)]


def _about_values(check: DataCheck) -> Iterator[str]:
    table = check.source.table
    values = {value for value in (*check.unknown, *check.ignored) if isinstance(value, int)}
    seen = values | _values_of_classes(check)
    high = max(seen, default=0)
    first, classes = int(table.reduce_zero_label), len(check.dataset.classes)
    if classes == 2 and not table.label_map and len(seen) == 2 and min(seen) == 0 and high in values:
        yield (
            f"the masks hold 0 and {high} only; if {high} is the second class, say label_map = {{ 0 = 0, {high} = 1 }}"
        )
    elif check.unknown and (preset := _preset_with_values(check.dataset.classes.names, seen - {table.ignore_index})):
        yield f"classes and values look like those of the preset {preset!r}; say so, or give its label_map"
    elif list(check.unknown) == [first + classes] and 0 not in seen and not first:
        yield (
            f"values go from {min(seen)} to {classes}, and classes from 0 to {classes - 1}; if 0 stands for what has "
            "no class, say reduce_zero_label = true"
        )
    elif len(check.unknown) == 1 and values:
        (value,) = check.unknown
        yield f"if the value {value} stands for pixels that nobody labelled, say ignore_index = {value}"
    if table.label_map and values & set(range(classes)) and high < classes <= max(table.label_map):
        yield (
            f"no value is above {high}, and label_map goes up to {max(table.label_map)}; if values are classes "
            "already, say label_map = {}"
        )


def _values_of_classes(check: DataCheck) -> set[int]:
    """Return the values in the masks that stand for a class that is there."""
    table = check.source.table
    if table.label_map:
        return {value for value, index in table.label_map.items() if index in check.classes}
    return {index + table.reduce_zero_label for index in check.classes}


def _preset_with_values(names: Sequence[str], values: set[int]) -> str | None:
    """Return a preset that has most of these classes, and whose masks hold values up to the largest of these."""
    known = {letters(name) for name in names}
    for name in preset_names():
        preset = read_preset(name)
        shared = known & {letters(other) for other in preset.get("classes", ())}
        if (
            "largest_value" in preset
            and 2 * len(shared) > len(known)
            and max(values, default=0) <= preset["largest_value"]
        ):
            return name
    return None


def _about_classes(check: DataCheck) -> Iterator[str]:
    names = check.dataset.classes.names
    share = check.share(check.ignored.total())
    if share > 0.5:
        value, pixels = check.ignored.most_common(1)[0]
        yield (
            f"{100 * share:.0f} % of the pixels are ignored, {100 * check.share(pixels):.0f} % for their value "
            f"{_text(value)}; check label_map and ignore_index"
        )
    if len(check.classes) == 1 and len(names) > 1:
        (index,) = check.classes
        yield f"every labelled pixel is of the class {names[index]!r}, so accuracy says nothing"
    absent = [name for index, name in enumerate(names) if index not in check.classes]
    if absent and check.classes:
        yield f"{counted(len(absent), 'class', 'classes')} of {len(names)} never seen: {_some(absent)}"
    for index, name in enumerate(names):
        if index in check.classes and letters(name) in _VOID:
            cure = (
                "leave its values out of label_map" if check.source.table.label_map else f"say ignore_index = {index}"
            )
            yield f"{name!r} counts as a class; if it stands for pixels that nobody labelled, {cure}"


def _about_files(check: DataCheck) -> Iterator[str]:
    preprocess = check.source.table.preprocess.complete(IMAGENET)
    if len(check.image_sizes) > 1 and preprocess.resize is Resize.NONE and preprocess.window is None:
        yield (
            f'images have {len(check.image_sizes)} sizes, and resize = "none" suits models that leave their size open; '
            'else say "stretch" or "keep-ratio" in [data.preprocess]'
        )
    counts = Counter(pair.image for pair in check.dataset.pairs)
    if repeated := [image.name for image, count in counts.items() if count > 1]:
        yield f"{counted(len(repeated), 'image')} listed more than once, and counted as often: {_some(repeated)}"
    if check.unused_masks:
        names = _some([file.name for file in check.unused_masks])
        yield f"{counted(len(check.unused_masks), 'mask')} without an image: {names}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _text(value: object) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
