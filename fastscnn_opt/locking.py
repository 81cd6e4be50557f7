"""One process at a time in a folder, and who it is."""

from __future__ import annotations

import os
import platform
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastscnn_opt.errors import UserError

_LOCK = ".lock"
_HOLDER = ".lock-holder"
"""Beside the lock, because whoever tries to get a lock empties its file."""


@contextmanager
def locked(folder: Path, doing: str, error: type[UserError]) -> Iterator[None]:
    """Keep `folder` to this process while the block runs; the system frees the lock however the process ends.

    Raises
    ------
    UserError
        Of the class `error`: another process holds the lock; `doing` says what such a process does with the folder.
    OSError
        The folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / _LOCK, timeout=0), folder / _HOLDER
    try:
        lock.acquire()
    except Timeout:
        who = _read(holder) or "another process"
        raise error(f"{folder}: {who} is {doing}; wait for it, or use another folder") from None
    try:
        holder.write_text(
            f"process {os.getpid()} on {platform.node()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC,",
            encoding="utf-8",
        )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read(holder: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):  # it has just got the lock, or just gone
        return holder.read_text(encoding="utf-8")
    return ""
