"""Deduce what a dump holds from its size, and read its label maps."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from tokenize import TokenError
from typing import TYPE_CHECKING, cast

import numpy as np

from fastscnn_opt.ascend.dumps.files import ARRAY, TEXT, DumpFile, ElementType, some
from fastscnn_opt.data.images import unreadable
from fastscnn_opt.errors import DataError
from fastscnn_opt.files import check_readable
from fastscnn_opt.measuring.label_map import label_map

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_LARGEST_TEXT = 1 << 32
"""Bytes of a text dump, at most: more than a batch of four images of 1024 x 2048 needs with 25 characters a value."""


@dataclass(frozen=True)
class DumpContent:
    """What a dump holds for each image: logits (`classes`, H, W), or a label map (H, W)."""

    dtype: ElementType
    logits: bool
    classes: int

    def values(self, pixels: int) -> int:
        """Return how many values an image of `pixels` pixels has."""
        return self.classes * pixels if self.logits else pixels

    def size(self, pixels: int) -> int:
        """Return how many bytes an image of `pixels` pixels has."""
        return self.values(pixels) * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.dtype} {'logits' if self.logits else 'label map'}"


_DEDUCED = (
    *((dtype, True) for dtype in (ElementType.FLOAT32, ElementType.FLOAT16)),
    *((dtype, False) for dtype in (ElementType.UINT8, ElementType.INT32, ElementType.INT64)),
)
"""Type of the contents that the size of a file is compared with, and whether they are logits."""


def content_of(dumps: Sequence[DumpFile], pixels: int, dtype: ElementType | None, classes: int) -> DumpContent:
    """Deduce what dump files hold from their sizes, for images of `pixels` pixels and a number of `classes`.

    Raises
    ------
    DataError
        A file is truncated or too long, no known content has such a size, or more than one has.
    """
    kinds = _DEDUCED if dtype is None else ((dtype, True), (dtype, False))
    candidates = [DumpContent(kind, logits, classes) for kind, logits in kinds]
    binary = [dump for dump in dumps if dump.path.suffix != TEXT]
    if not binary:
        return _content_of_text(dumps[0], pixels, candidates)
    fitting = {dump: [content for content in candidates if _fits(dump, content, pixels)] for dump in binary}
    hits = Counter(chain(*fitting.values()))
    if not hits:
        raise _unknown_content(binary[0], pixels, candidates)
    best, *rivals = [content for content in candidates if hits[content] == max(hits.values())]
    wrong = [dump for dump in binary if not fitting[dump] or not (rivals or best in fitting[dump])]
    if wrong:
        sizes = some([f"{dump.path.name} ({dump.path.stat().st_size} bytes)" for dump in wrong])
        expected = ", ".join(f"{content} {content.size(pixels) * wrong[0].capacity}" for content in (best, *rivals))
        raise DataError(
            f"{len(wrong)} of {len(dumps)} dumps are truncated or of another kind: {sizes}; expected are "
            f"{expected} bytes",
            where=wrong[0].path.parent,
            cure="run the tool on these images again",
        )
    if rivals:
        raise DataError(
            f"by its size this may be {best} or {rivals[0]}",
            where=binary[0].path,
            cure="say which with --dtype, or give the right --batch",
        )
    return best


def read_dump(dump: DumpFile, content: DumpContent, size: tuple[int, int]) -> NDArray[np.integer]:
    """Return the label maps of the images of a file, `count`, H, W with H and W from `size`; logits give their argmax.

    Raises
    ------
    DataError
        The file cannot be read, is truncated, or holds classes that do not exist.
    """
    height, width = size
    values = _read_values(dump.path, content)
    wanted = content.values(height * width)
    if values.size not in (dump.count * wanted, dump.capacity * wanted):
        raise DataError(
            f"{values.size} values, but {content} of {height} x {width} (height x width) has {wanted} per "
            f"image, of {dump.count}",
            where=dump.path,
            cure="the dump is truncated or of another kind",
        )
    values = values[: dump.count * wanted]
    if not content.logits:
        return _checked_classes(values.reshape(dump.count, height, width), content.classes, dump.path)
    logits = values.reshape(dump.count, content.classes, height, width)
    if logits.dtype.kind == "f":
        return label_map(cast("NDArray[np.floating]", logits))
    return cast("NDArray[np.int64]", logits.argmax(axis=1))


def _fits(dump: DumpFile, content: DumpContent, pixels: int) -> bool:
    """Return whether the file has the size of `content`; a text always fits, because its size says nothing."""
    if dump.path.suffix == TEXT:
        return True
    dtype, size = np.dtype(content.dtype), dump.path.stat().st_size
    if dump.path.suffix == ARRAY:
        array = _open_npy(dump.path)
        dtype, size = array.dtype, array.nbytes
    lengths = {count * content.size(pixels) for count in (dump.count, dump.capacity)}
    return dtype == np.dtype(content.dtype) and size in lengths


def _unknown_content(dump: DumpFile, pixels: int, candidates: Sequence[DumpContent]) -> DataError:
    sizes = ", ".join(f"{content} {content.size(pixels) * dump.capacity}" for content in candidates)
    what = f"{dump.path.stat().st_size} bytes"
    if dump.path.suffix == ARRAY:
        array = _open_npy(dump.path)
        what = f"{array.dtype} of shape {array.shape}"
    each = "an image" if dump.capacity == 1 else f"{dump.capacity} images"
    return DataError(
        f"{what}, which fits nothing that is known; {each} of {pixels} pixels would be {sizes} bytes",
        where=dump.path,
        cure="check the size of the images, or give --dtype or --batch",
    )


def _content_of_text(dump: DumpFile, pixels: int, candidates: Sequence[DumpContent]) -> DumpContent:
    values = _read_text(dump.path).size
    classes = candidates[0].classes
    for content in (candidates[0], DumpContent(candidates[0].dtype, logits=False, classes=classes)):
        if values in (content.values(pixels) * dump.count, content.values(pixels) * dump.capacity):
            return content
    raise DataError(
        f"{values} values, but an image of {pixels} pixels has {classes * pixels} logits or {pixels} labels",
        where=dump.path,
        cure="the dump is truncated, or its image has another size",
    )


def _read_values(path: Path, content: DumpContent) -> NDArray[np.generic]:
    if path.suffix == TEXT:
        return _read_text(path)
    if path.suffix == ARRAY:
        return np.ascontiguousarray(_open_npy(path)).reshape(-1)
    try:
        check_readable(path, sys.maxsize)  # the caller has compared its size
        return np.fromfile(path, dtype=np.dtype(content.dtype).newbyteorder("<"))
    except OSError as error:
        raise unreadable(path, error) from error


def _open_npy(path: Path) -> NDArray[np.generic]:
    try:
        check_readable(path, sys.maxsize)  # it is mapped
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError, SyntaxError, TokenError, OverflowError, TypeError) as error:
        raise DataError(
            "not an array file of numpy, or a truncated one", where=path, cure="run the tool on this image again"
        ) from error
    return array


def _read_text(path: Path) -> NDArray[np.float32]:
    """Read numbers separated by white space; numpy before 2.3 stops at the first word that is not a number."""
    try:
        check_readable(path, _LARGEST_TEXT)
        return np.fromfile(path, dtype=np.float32, sep=" ")
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise DataError(
            "holds text that is no number", where=path, cure="a text dump is numbers with blanks between"
        ) from error


def _checked_classes(labels: NDArray[np.generic], classes: int, path: Path) -> NDArray[np.integer]:
    if not (labels.min() >= 0 and labels.max() < classes):
        raise DataError(
            f"holds values from {labels.min()} to {labels.max()}, but the classes are 0 to {classes - 1}",
            where=path,
            cure="check the type of the dump (--dtype) and which output it is (--output-index)",
        )
    whole: NDArray[np.integer] = labels.astype(np.uint8 if classes <= 256 else np.uint16)
    if not np.array_equal(whole, labels):
        raise DataError(
            "holds values between two classes, so it is no label map",
            where=path,
            cure="check --dtype and --output-index",
        )
    return whole
