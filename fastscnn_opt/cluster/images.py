"""Give a node the images it lacks: those that are not at the same path with the same content."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cluster.connection import get
from fastscnn_opt.data.images import MOST_IMAGE_BYTES
from fastscnn_opt.errors import DataError, UserError
from fastscnn_opt.files import read_bytes, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.data.source import DataSource

_NO_ANSWER = "the process that sends the images does not answer"


class ImageServer:
    """Reads files for other nodes, as an actor on the host that the command was given on."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def hashes(self, files: list[Path]) -> list[str]:
        """Return the hash of each file, which is computed once; empty for one that cannot be read."""
        for file in files:
            if file not in self._known:
                self._known[file] = _hash(file)
        return [self._known[file] for file in files]

    def read(self, file: Path) -> bytes:
        """Return the content of a file."""
        return read_bytes(file, MOST_IMAGE_BYTES)


@contextmanager
def images_here(part: DataSource, server: Any, place: Path, limit_s: float) -> Iterator[DataSource]:
    """Return `part` with files that this node can read; those that it lacks come from `server`, one at a time.

    They lie in the folder `place` while the block runs. Synthetic scenes need no files. Errors of the block name the
    files as the user knows them. Raises DataError if a file cannot be read anywhere. A file that takes more than
    `limit_s` seconds, such as one of a server that is gone, ends this process, and so frees the node.
    """
    if part.pairs is None:
        yield part
        return
    files = [file for pair in part.pairs for file in (pair.image, pair.mask)]
    places: dict[Path, Path] = {}
    with tempfile.TemporaryDirectory(dir=place, prefix="images-") as folder:
        for number, (file, wanted) in enumerate(zip(files, get(server.hashes.remote(files), _NO_ANSWER), strict=True)):
            if not wanted:
                raise DataError("cannot be read where the command was given", where=file)
            places[file] = file
            with _ending_after(limit_s):
                if _hash(file) != wanted:
                    places[file] = Path(folder, f"{number}{file.suffix}")
                    places[file].write_bytes(get(server.read.remote(file), _NO_ANSWER))
        pairs = [replace(pair, image=places[pair.image], mask=places[pair.mask]) for pair in part.pairs]
        try:
            yield replace(part, pairs=tuple(pairs))
        except UserError as error:
            error.where = {str(place): str(file) for file, place in places.items()}.get(error.where, error.where)
            raise


@contextmanager
def _ending_after(limit_s: float) -> Iterator[None]:
    """Kill this process if the block takes longer: a read that hangs cannot be interrupted."""
    alarm = Timer(limit_s, os.kill, (os.getpid(), signal.SIGKILL))
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def _hash(file: Path) -> str:
    try:
        return sha256_of(file, MOST_IMAGE_BYTES)
    except OSError:
        return ""
