"""Results that are dear to compute, kept between runs under what they were computed from.

An entry is the file ``<folder>/<kind>/<key>``: the SHA-256 of the content as one line of hexadecimal text, then the
content. Its time of change is that of its last use. Any file may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from fastscnn_opt.errors import describe_os_error
from fastscnn_opt.model import write_atomically

VARIABLE = "FASTSCNN_OPT_CACHE"
"""Environment variable that names the folder."""

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
        _log.warning("the cache cannot be read: %s", describe_os_error(error))
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
        _log.warning("the cache cannot be written to: %s", describe_os_error(error))
