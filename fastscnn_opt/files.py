"""Write files whole or not at all, lock folders, and put errors of the operating system into words."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import platform
import secrets
import shutil
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from fastscnn_opt.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"
HOLDER = ".lock-holder"
"""File that names the process with the lock. It is a second file because acquiring a lock empties the lock file."""

_CURES = {
    errno.ENOSPC: "free some space there, or choose another disk",
    errno.EDQUOT: "free some space there, or choose another disk",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "check its permissions, or choose another place",
    errno.ENOENT: "check the path, or create the folder first",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give the path of a file",
}
"""How to mend what the system refused."""


def from_os_error(error: OSError) -> UserError:
    """Return an error of the operating system with its file, what is wrong, and how to mend it."""
    cure = _CURES.get(error.errno, "") if error.errno is not None else ""
    return UserError(error.strerror or str(error), where=error.filename or "", cure=cure)


def check_place(path: Path) -> None:
    """Raise the OSError that writing to `path` would end in, as far as can be told beforehand."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def write_atomically(path: Path, content: bytes, like: Path | None = None) -> None:
    """Write `content` to a temporary file beside `path`, flush it to the disk, and move it into place.

    A symbolic link stays, and the file that it names is replaced. A device is written to directly. The file gets the
    owner, the mode, the times and the extended attributes of the file `like`, where one is given.
    Raises OSError, which names `path` and never the temporary file, when the system refuses.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content)
        return
    with replacing(path, like) as file:
        file.write(content)


def content_hash(file: Path) -> str:
    """Return the SHA-256 of a file and of those that belong to it, such as ``FILE.data``; empty if it is no file.

    Logs (``FILE.run.log``) do not count. Raises OSError if the system refuses.
    """
    if not file.is_file():
        return ""
    digest = hashlib.sha256()
    companions = [part for part in file.parent.glob(f"{glob.escape(file.name)}.*") if part.suffix != ".log"]
    for part in (file, *sorted(companions)):
        with part.open("rb") as content:
            digest.update(f"{part.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


@contextmanager
def replacing(path: Path, like: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that replaces it when the block ends, and is removed when the block fails.

    It gets the owner, the mode, the times and the extended attributes of the file `like`, where one is given.

    Raises OSError, which names `path` and never the temporary file, when the system refuses.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:  # the system applies the umask; tempfile would make it private
            yield file
            file.flush()
            if like is not None:
                _copy_status(like, temporary)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):  # the user knows the file that was to be written, not the temporary one
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def locked(folder: Path, doing: str, error: type[UserError], wait_s: float = 0.0) -> Iterator[None]:
    """Let no other process lock `folder` while the block runs; the system frees the lock however the process ends.

    A lock that another process holds is waited for, `wait_s` seconds at most.

    Raises
    ------
    UserError
        Of the class `error`: another process holds the lock. `doing` says what such a process does with the folder.
    OSError
        The folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / LOCK, timeout=wait_s), folder / HOLDER
    try:
        lock.acquire()
    except Timeout:
        who = _holder_of(holder) or "another process"
        cure = "try again later" if wait_s else "wait for it, or use another folder"
        raise error(f"{who} is {doing}", where=folder, cure=cure) from None
    try:
        holder.write_text(
            f"process {os.getpid()} on {platform.node()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC,",
            encoding="utf-8",
        )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _copy_status(like: Path, path: Path) -> None:
    old, new = like.stat(), path.stat()
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.chown(path, old.st_uid, old.st_gid)  # before the mode, of which it clears some bits
    shutil.copystat(like, path)


def _holder_of(file: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):  # another process may be writing or removing it
        return file.read_text(encoding="utf-8")
    return ""
