"""Write the binary images, labels and info file that the vendor's benchmark tools read.

A folder is prepared in steps that can be interrupted at any moment: every file appears under its name only when it is
complete, and the manifest lists the images that are finished. A second run does what is missing.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.prepare.folder import (
    IMAGES,
    LABEL_TYPE,
    LABELS,
    MANIFEST,
    FinishedFile,
    FinishedImage,
    image_file,
    label_file,
)
from fastscnn_opt.ascend.prepare.plan import Plan, compare
from fastscnn_opt.ascend.prepare.request import ImageType
from fastscnn_opt.data.dataset import check_size
from fastscnn_opt.data.masks import ignored_value
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.data.preprocess import IMAGENET, Preprocess, normalise
from fastscnn_opt.errors import DataError
from fastscnn_opt.files import locked, write_atomically
from fastscnn_opt.model.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def prepare(work: Plan, on_image: Callable[[int], None] | None = None) -> Plan:
    """Lock the folder, write the missing files and the info file, and return the plan that was carried out.

    `on_image` gets the number of images finished since its last call, those that were there before included.

    Raises
    ------
    DataError
        As for `compare`; or the disk is too small or full, another process prepares this folder, or an image is
        unusable. What is finished stays, and the next run goes on from there.
    OSError
        The folder cannot be written.
    """
    _check_disk(work)  # refuse before anything is created
    work.root.mkdir(parents=True, exist_ok=True)
    with locked(work.root, "preparing this folder", DataError):
        work = compare(work)  # what another process has finished by now counts
        _check_disk(work)
        _clear(work)
        if on_image is not None:
            on_image(len(work.finished))
        _write_pending(work, on_image or (lambda _: None))
        write_atomically(work.info, info_text(work).encode())
    return work


def info_text(work: Plan) -> str:
    """Return the info file: one line ``{index} {path} {width} {height}`` per image, from index 0."""
    size = f"{work.manifest.width} {work.manifest.height}"
    paths = (work.root / image_file(name) for name in work.dataset.names)
    return "".join(f"{index} {path.as_posix()} {size}\n" for index, path in enumerate(paths))


def encode_image(image: NDArray[np.uint8], dtype: ImageType, preprocess: Preprocess = IMAGENET) -> bytes:
    """Return the bytes of an image file from an image H, W, 3, RGB, in the model's channel order: see `ImageType`."""
    if dtype is ImageType.UINT8:
        return preprocess.order(image).tobytes()
    return normalise(image[None], preprocess).astype("<f4", copy=False).tobytes()


def encode_label(label: NDArray[np.unsignedinteger], classes: int) -> bytes:
    """Return the bytes of a label file from a label map H, W of so many classes: float32, -1 for ignored pixels."""
    values = label.astype(LABEL_TYPE)
    values[label == ignored_value(classes)] = -1
    return values.tobytes()


def _check_disk(work: Plan) -> None:
    if work.needed_bytes > work.free_bytes:
        raise DataError(
            f"the files need {work.needed_bytes / 1e9:.1f} GB, but the disk has {work.free_bytes / 1e9:.1f} GB free",
            where=work.root,
            cure="make room, or prepare fewer images with --limit",
        )


def _clear(work: Plan) -> None:
    """Remove files of an earlier preparation that are not needed, and partial files of a killed run."""
    for file in work.stale:
        (work.root / file).unlink(missing_ok=True)
    _write_manifest(work, work.finished)  # from here on the folder is known as ours, however early the run ends
    for name in (IMAGES, LABELS):
        (work.root / name).mkdir(exist_ok=True)
        for part in (work.root / name).glob(".*.bin.*.part"):
            part.unlink()


def _write_pending(work: Plan, on_image: Callable[[int], None]) -> None:
    images = dict(work.finished)
    pending = work.pending
    with closing(prefetch(lambda turn: _write_pair(work, pending[turn]), len(pending))) as written:
        for image in written:
            images[image.name] = image
            _write_manifest(work, images)
            on_image(1)


def _write_manifest(work: Plan, images: dict[str, FinishedImage]) -> None:
    ordered = tuple(images[name] for name in work.dataset.names if name in images)
    text = work.manifest.model_copy(update={"images": ordered}).model_dump_json(indent=1, exclude_none=True)
    write_atomically(work.root / MANIFEST, text.encode() + b"\n")


def _write_pair(work: Plan, index: int) -> FinishedImage:
    sample = check_size(work.dataset.load(index), (work.manifest.height, work.manifest.width))
    preprocess = work.request.source.preprocess_for(Metadata())
    pixels = encode_image(sample.image, work.manifest.dtype, preprocess)
    image = _write_file(work.root, image_file(sample.name), pixels)
    label = _write_file(work.root, label_file(sample.name), encode_label(sample.label, len(work.dataset.classes)))
    return FinishedImage(name=sample.name, image=image, label=label)


def _write_file(root: Path, file: str, content: bytes) -> FinishedFile:
    try:
        write_atomically(root / file, content)
    except OSError as error:
        raise DataError(
            f"cannot be written ({error.strerror})",
            where=root / file,
            cure="mend this and run the same command again; finished files stay",
        ) from error
    return FinishedFile(file=file, size=len(content), sha256=hashlib.sha256(content).hexdigest())
