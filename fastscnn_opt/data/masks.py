"""Turn the values of a mask file into classes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.data.images import read_mask
from fastscnn_opt.errors import DataError
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_VALUES = 1 << 16
"""Values that a mask of 16 bits can hold."""

_SHOWN = 5
"""Wrong values or colours that a message names."""


def ignored_value(classes: int) -> int:
    """Return what stands in a label map for pixels that count nowhere: 255, or 65535 beyond 255 classes."""
    return 255 if classes <= 255 else 65535


MaskValue = int | tuple[int, int, int]
"""A value, or a colour."""


@dataclass(frozen=True)
class MaskCounts:
    """How many pixels of a mask of height and width `size` are of each class, and of each value that is no class.

    `ignored` counts the values that count nowhere, and `unknown` those that should not be there.
    """

    size: tuple[int, int]
    classes: Counter[int] = field(default_factory=Counter)
    ignored: Counter[MaskValue] = field(default_factory=Counter)
    unknown: Counter[MaskValue] = field(default_factory=Counter)


@dataclass(frozen=True)
class MaskReader:
    """Reads masks as label maps.

    Attributes
    ----------
    classes
        Number of classes of the dataset.
    ignore_index
        Value in the mask that counts nowhere, unless `label_map` has it.
    label_map
        Value in the mask -> class; what is not listed is ignored. When empty, values are classes.
    reduce_zero_label
        Whether 0 is ignored and every other value moves down by one.
    largest_value
        Largest value that a mask may hold beside `ignore_index`.
    palette
        Colours of the classes, for RGB masks. One more stands for the value `classes`, which `ignore_index` ignores.
    """

    classes: int
    ignore_index: int = 255
    label_map: Mapping[int, int] | None = None
    reduce_zero_label: bool = False
    largest_value: int | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None

    def read(self, path: Path) -> NDArray[np.unsignedinteger]:
        """Return the label map of a file: H, W, uint8 (uint16 beyond 255 classes), see `ignored_value`.

        Raises
        ------
        DataError
            The file is no mask, or holds a value or a colour that stands for no class.
        """
        values = read_mask(path)
        if values.ndim == 3:
            self._check_takes_colours(path)
            values, found = self._places(values)
            if not found.all():
                raise self.refusal(self.count(path), path)
        table, known = self._table()
        if values.dtype == np.uint8:
            table, known = table[:256], known[:256]
        # No value lies outside the tables; any mode but "raise" saves numpy a pass over all pixels.
        if not np.take(known, values, mode="clip").all():
            raise self.refusal(self.count(path), path)
        labels: NDArray[np.unsignedinteger] = np.take(table, values, mode="clip")
        return labels

    def count(self, path: Path) -> MaskCounts:
        """Count the pixels of every value in a file, also of those that stand for no class.

        Raises DataError if the file is no mask, or holds colours where the data describe values.
        """
        values = read_mask(path)
        places: NDArray[np.integer]
        names: Sequence[MaskValue]
        if values.ndim == 3:
            self._check_takes_colours(path)
            codes, pixels = np.unique(_codes(values), return_counts=True)
            colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)
            places, found = self._places(colours)
            names = [(red, green, blue) for red, green, blue in colours.tolist()]
        else:
            histogram = np.bincount(values.ravel())
            places = np.flatnonzero(histogram)
            found, pixels, names = np.ones(len(places), dtype=np.bool_), histogram[places], places.tolist()
        table, known = self._table()
        counts = MaskCounts((values.shape[0], values.shape[1]))
        for name, number, label, is_known in zip(
            names, pixels.tolist(), table[places].tolist(), (known[places] & found).tolist(), strict=True
        ):
            if not is_known:
                counts.unknown[name] = number
            elif label == ignored_value(self.classes):
                counts.ignored[name] = number
            else:
                counts.classes[label] += number
        return counts

    def refusal(self, counts: MaskCounts, path: Path) -> DataError:
        """Return the error of a mask that holds values or colours that stand for no class."""
        unknown, pixels = list(counts.unknown), counted(sum(counts.unknown.values()), "pixel")
        listed = ", ".join(str(list(value) if isinstance(value, tuple) else value) for value in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        if isinstance(first := unknown[0], tuple):
            nearest = list(min(self.palette or (), key=lambda colour: math.dist(colour, first)))
            return DataError(
                f"holds {'the colour' if len(unknown) == 1 else 'the colours'} {listed}{more} in {pixels}, which the "
                "palette does not have",
                where=path,
                cure=f"mend the mask or the palette, whose nearest colour is {nearest}; the colour of pixels that "
                f"nobody labelled goes last into palette, with ignore_index = {self.classes}",
            )
        return DataError(
            f"holds the value{'s' if len(unknown) > 1 else ''} {listed}{more} in {pixels}, and {self._allowed()}",
            where=path,
            cure="mend the mask, or say with label_map or ignore_index what the value means",
        )

    def _allowed(self) -> str:
        if self.largest_value is not None:
            return f"values are 0 to {self.largest_value}, and {self.ignore_index} is ignored"
        first = 1 if self.reduce_zero_label else 0
        return f"the classes are {first} to {first + self.classes - 1}, and {self.ignore_index} is ignored"

    def _table(self) -> tuple[NDArray[np.unsignedinteger], NDArray[np.bool_]]:
        """Return for every value its class, and whether a mask may hold it."""
        ignored = ignored_value(self.classes)
        table: NDArray[np.unsignedinteger] = np.full(_VALUES, ignored, np.uint8 if ignored == 255 else np.uint16)
        known = np.zeros(_VALUES, dtype=np.bool_)
        if self.label_map:
            known[:] = True
        else:
            first = int(self.reduce_zero_label)
            table[first : first + self.classes] = np.arange(self.classes)
            known[: first + self.classes] = True
        if self.largest_value is not None:
            known[: self.largest_value + 1] = True
            known[self.largest_value + 1 :] = False
        table[self.ignore_index], known[self.ignore_index] = ignored, True
        if self.label_map:
            table[list(self.label_map)] = list(self.label_map.values())
        return table, known

    def _check_takes_colours(self, path: Path) -> None:
        """Raise DataError if the data describe masks of values."""
        if self.label_map or self.reduce_zero_label:
            raise DataError(
                "is an RGB mask, and the data describe masks of values",
                where=path,
                cure="give masks of indices, or leave label_map and reduce_zero_label out: the palette says it all",
            )
        if self.palette is None:
            raise DataError(
                "is an RGB mask, and the data have no palette", where=path, cure="give palette, one colour a class"
            )

    def _places(self, colours: NDArray[np.integer]) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """Return the place in the palette of every colour (..., 3), and whether it is there at all."""
        codes, known = _codes(colours), _codes(np.asarray(self.palette))
        order = np.argsort(known, kind="stable")
        places = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
        return order[places].astype(np.uint16), known[order][places] == codes


def _codes(colours: NDArray[np.integer]) -> NDArray[np.int32]:
    wide = colours.astype(np.int32)
    codes: NDArray[np.int32] = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    return codes
