"""Write a package as a folder or as one ZIP file: whole, or not at all, and the same bytes for the same content."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import UserError
from fastscnn_opt.files import check_place, open_readable, replacing, sha256_of, temporary_folder
from fastscnn_opt.text import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TEMPORARY = ".package-"
_PARTS = {
    "MODEL_CARD.md", "config.json", "example/image.png", "example/labels.png", "model.onnx", "predict.py",
    "preprocessor_config.json", "segmenter.py",
}  # fmt: skip
"""The files that every package has."""

_MAY_BE_THERE = ("model.*", "__pycache__/*")
"""Weights, artefacts, and what Python leaves."""

_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP file can state, for all of its files."""


@dataclass(frozen=True)
class PackagedFile:
    """A file of a package: its name, size, and SHA-256 as hexadecimal text."""

    file: str
    bytes: int
    sha256: str


@contextmanager
def new_package(output: Path) -> Iterator[Path]:
    """Yield an empty folder whose content becomes the package `output`, a folder or ZIP file, when the block ends.

    After an error in the block, `output` is as before. An earlier package is replaced.

    Raises
    ------
    UserError
        `output` holds something else.
    OSError
        It cannot be written.
    """
    output = output.resolve() if output.is_symlink() else output
    if not is_utf8(str(output.absolute())):
        raise UserError("its path is no UTF-8 text, and onnxruntime takes no other", where=output, cure="rename it")
    zipped = output.suffix.lower() == ".zip"
    _refuse_other_content(output, zipped=zipped)
    place = output if output.is_dir() else output.absolute().parent
    if place != output:
        check_place(output)
    whole = output.resolve()
    with temporary_folder(place, _TEMPORARY, whole.parent) as temporary:
        folder = temporary / whole.name
        folder.mkdir()
        yield folder
        if zipped:
            _zip(folder, output)
        elif place != output:
            folder.rename(output)
        else:
            _replace(output, folder)


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a JSON file with sorted keys."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    file.write_bytes(text.encode(errors="replace") + b"\n")


def packaged_files(folder: Path) -> list[PackagedFile]:
    """Return the files in a folder, in the order of their names."""
    found = []
    for name in _names_in(folder):
        file = folder / name
        found.append(PackagedFile(name, file.stat().st_size, sha256_of(file)))
    return found


def _names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _refuse_other_content(output: Path, *, zipped: bool) -> None:
    if zipped:
        if output.is_dir():
            raise UserError("is a folder", where=output, cure="give the name of a ZIP file, or of a new folder")
        return
    if output.exists() and not output.is_dir():
        raise UserError("is a file", where=output, cure="give the path of a folder, or of a .zip file")
    names = [name for name in _names_in(output) if not name.startswith(_TEMPORARY)]
    others = [name for name in names if name not in _PARTS and not any(fnmatchcase(name, one) for one in _MAY_BE_THERE)]
    if names and (others or not _PARTS.issubset(names)):
        raise UserError(f"holds something else ({(others or names)[0]})", where=output, cure="give a new folder")


def _replace(output: Path, folder: Path) -> None:
    """Put the files in `folder` into the place of an earlier package."""
    for old in output.iterdir():
        if old.name.startswith(_TEMPORARY):
            continue
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    for new in folder.iterdir():
        new.rename(output / new.name)


def _zip(folder: Path, output: Path) -> None:
    with replacing(output) as file, zipfile.ZipFile(file, "w") as archive:
        for name in _names_in(folder):
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            entry.file_size = (folder / name).stat().st_size
            with open_readable(folder / name, sys.maxsize) as content, archive.open(entry, "w") as packed:
                shutil.copyfileobj(content, packed)
