"""Results that are dear to compute, kept between runs under what they were computed from.

An entry is the file ``<folder>/<kind>/<key>``: the SHA-256 of the content as one line of hexadecimal text, then the
content. Its time of change is that of its last use. Any file may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from fastscnn_opt.files import from_os_error, write_atomically

VARIABLE = "FASTSCNN_OPT_CACHE"
"""Environment variable that names the folder."""

_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.[0-9a-f]{64}\..*\.part")
"""What `write_atomically` leaves when the process is killed."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the folder of the cache, which need not exist.

    That is the one that ``FASTSCNN_OPT_CACHE`` names, else ``fastscnn-opt`` in ``XDG_CACHE_HOME`` or in ``~/.cache``.
    A relative ``XDG_CACHE_HOME`` does not count, as the XDG Base Directory Specification has it.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "fastscnn-opt"


def key_of(*parts: bytes | str) -> str:
    """Return the key, hexadecimal text, of what was computed from `parts`: all that its content depends on."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def get(kind: str, key: str) -> bytes | None:
    """Return the content kept under `kind` and `key`; None if there is none, or only a damaged one, which is logged."""
    path = cache_folder() / kind / key
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("the cache cannot be read: %s", from_os_error(error))
        return None
    if digest.decode(errors="replace") != hashlib.sha256(content).hexdigest():
        _log.warning("%s: the cache entry is damaged; what it held is computed again", path)
        return None
    try:
        os.utime(path)
    except OSError:
        _log.debug("%s: its time of last use cannot be noted", path)
    return content


def put(kind: str, key: str, content: bytes) -> None:
    """Keep `content` under `kind` and `key`.

    A cache that cannot be written to is logged and no error, for the result itself is not at stake.
    """
    path = cache_folder() / kind / key
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    except OSError as error:
        _log.warning("the cache cannot be written to: %s", from_os_error(error))


@dataclass(frozen=True)
class Entry:
    """A file of the cache: its kind and key, its size, and when it was last used, in seconds since 1970."""

    kind: str
    key: str
    path: Path
    size_bytes: int
    used_at: float


def entries() -> list[Entry]:
    """Return what the cache holds, the least recently used first, and parts of files that killed processes left.

    Files that this module cannot have written are none of its business, whichever folder the user named.
    """
    found = []
    for path in cache_folder().glob("*/*"):
        if (_KEY.fullmatch(path.name) or _PART.fullmatch(path.name)) and path.is_file() and not path.is_symlink():
            facts = path.stat()
            found.append(Entry(path.parent.name, path.name, path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda entry: (entry.used_at, entry.path))


def superfluous(*, older_than_s: float | None = None, max_bytes: int | None = None) -> list[Entry]:
    """Return the entries that were not used for `older_than_s` seconds, and the oldest of the rest beyond `max_bytes`.

    Without both, these are all entries.
    """
    everything = entries()
    if older_than_s is None and max_bytes is None:
        return everything
    limit = float("-inf") if older_than_s is None else time.time() - older_than_s
    old = [entry for entry in everything if entry.used_at < limit]
    kept = everything[len(old) :]
    room = sum(entry.size_bytes for entry in kept) if max_bytes is None else max_bytes
    while kept and sum(entry.size_bytes for entry in kept) > room:
        old.append(kept.pop(0))
    return old
