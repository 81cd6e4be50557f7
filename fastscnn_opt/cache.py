"""The user's cache: stores results that take long to compute, under a key of everything they were computed from.

An entry is the file ``<folder>/<kind>/<key>``: the SHA-256 of kind, key and content as one line of hexadecimal text,
then the content. Its time of change is the time of its last use. Users may delete any file at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastscnn_opt.files import from_os_error, read_bytes, write_atomically

VARIABLE = "FASTSCNN_OPT_CACHE"
"""Environment variable that names the folder."""

_MOST_BYTES = 1 << 31
"""Bytes of an entry at most, such as the graph that a pass made."""

_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.[0-9a-f]{64}\..*\.part")
"""Name of a file that `write_atomically` leaves where the process was killed."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the folder of the cache, which need not exist.

    ``FASTSCNN_OPT_CACHE`` names it; otherwise it is ``fastscnn-opt`` in ``XDG_CACHE_HOME`` or in ``~/.cache``. A
    relative ``XDG_CACHE_HOME`` is ignored, as the XDG Base Directory Specification demands.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "fastscnn-opt"


def key_of(*parts: bytes | str) -> str:
    """Return the key, hexadecimal text, of a result that depends on all `parts` and on nothing else."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def get(kind: str, key: str) -> bytes | None:
    """Return the content stored under `kind` and `key`; None if there is none, or if it is damaged, which is logged."""
    path = cache_folder() / kind / key
    try:
        digest, _, content = read_bytes(path, _MOST_BYTES).partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("the cache cannot be read: %s", from_os_error(error))
        return None
    if digest != _digest_line(kind, key, content):
        _log.warning("%s: the cache entry is damaged; its content is computed again", path)
        return None
    try:
        os.utime(path)
    except OSError:
        _log.debug("%s: its time of last use cannot be noted", path)
    return content


def put(kind: str, key: str, content: bytes) -> None:
    """Store `content` under `kind` and `key`.

    A cache that cannot be written to is logged, and is no error: the caller has the result.
    """
    path = cache_folder() / kind / key
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _digest_line(kind, key, content) + b"\n" + content)
    except OSError as error:
        _log.warning("the cache cannot be written to: %s", from_os_error(error))


def _digest_line(kind: str, key: str, content: bytes) -> bytes:
    """Return the first line of an entry; it depends on the place, so that two files that change places are noticed."""
    return key_of(kind, key, content).encode()


@dataclass(frozen=True)
class CacheEntry:
    """A file of the cache: its kind and key, its size, and when it was last used, in seconds since 1970."""

    kind: str
    key: str
    path: Path
    size_bytes: int
    used_at: float

    def to_json(self) -> dict[str, Any]:
        """Return the entry as `cache list` prints it."""
        used = datetime.fromtimestamp(self.used_at, UTC).isoformat(timespec="seconds")
        return {"kind": self.kind, "key": self.key, "bytes": self.size_bytes, "used": used}


def entries() -> list[CacheEntry]:
    """Return the entries, the least recently used first, and the parts of entries that killed processes left.

    Files that this module cannot have written are left out, whichever folder the user named.
    """
    found = []
    for path in cache_folder().glob("*/*"):
        if (_KEY.fullmatch(path.name) or _PART.fullmatch(path.name)) and path.is_file() and not path.is_symlink():
            facts = path.stat()
            found.append(CacheEntry(path.parent.name, path.name, path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda entry: (entry.used_at, entry.path))


def prune(
    *, older_than_s: float | None = None, max_bytes: int | None = None, dry_run: bool = False
) -> list[CacheEntry]:
    """Remove entries that were not used for `older_than_s` seconds, and the least recently used beyond `max_bytes`.

    Without both limits, remove all entries. Return what was removed, or would be if this were no `dry_run`.
    """
    found = entries()
    everything = older_than_s is None and max_bytes is None
    oldest = float("-inf") if older_than_s is None else time.time() - older_than_s
    size_bytes = sum(entry.size_bytes for entry in found)
    removed = []
    for entry in found:
        too_much = max_bytes is not None and size_bytes > max_bytes
        if not (everything or too_much or entry.used_at < oldest):
            break
        removed.append(entry)
        size_bytes -= entry.size_bytes
    for entry in removed if not dry_run else ():
        entry.path.unlink(missing_ok=True)
    return removed
