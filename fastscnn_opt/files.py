"""Read regular files of a bounded size, write files whole or not at all, and put errors of the system into words."""

from __future__ import annotations

import errno
import glob
import hashlib
import io
import os
import platform
import secrets
import shutil
import stat
import sys
import warnings
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fastscnn_opt.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = ".lock"
HOLDER = ".lock-holder"
"""File that names the process with the lock. It is a second file because acquiring a lock empties the lock file."""

MOST_TEXT_BYTES = 1 << 24
"""Bytes of a text that people write, at most."""

MOST_TABLE_BYTES = 1 << 28
"""Bytes of a list, a record or a report that programs write, at most."""

MOST_MODEL_BYTES = (1 << 31) - 1
"""Bytes of an ONNX file, at most: a protobuf message cannot be longer. Weights in other files do not count."""

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)

_CURES = {
    **dict.fromkeys(FULL_DISK, "free some space there, or choose another disk"),
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "check its permissions, or choose another place",
    errno.EPERM: "check its permissions and attributes, or choose another place",
    errno.ENOENT: "check the path, or create the folder first",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give the path of a file",
    errno.ELOOP: "check where its links lead",
    errno.EFBIG: "check that it is the file that you mean",
    errno.ENXIO: "give the path of a regular file",
    errno.EMFILE: "allow more open files, as with `ulimit -n 256`",
    errno.ENFILE: "close other programs, or allow more open files",
}
"""How to mend what the system refused, and what is refused here with the same numbers."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system without locks answers, such as some network drives."""

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""Files that are not regular: reading one may wait for ever, or never end."""


def from_os_error(error: OSError) -> UserError:
    """Return an error of the operating system with its file, what is wrong, and how to mend it."""
    cure = _CURES.get(error.errno, "") if error.errno is not None else ""
    where = error.filename2 if error.errno in FULL_DISK and error.filename2 else error.filename  # where a copy goes to
    if error.errno in FULL_DISK and not where:
        cure = "free some space on the disk of the output, and on that of temporary files (TMPDIR)"
    return UserError(error.strerror or str(error), where=where or "", cure=cure)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in an OSError of the block that names no file, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def temporary_folder(parent: Path, prefix: str, place: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is removed when the block ends; errors of the block name `place` for it."""
    import tempfile

    try:
        made = tempfile.TemporaryDirectory(dir=parent, prefix=prefix)
    except OSError as error:
        error.filename = str(parent)
        raise
    try:
        with made as name:
            yield Path(name)
    except UserError as error:
        for part in ("where", "what", "cure"):
            setattr(error, part, getattr(error, part).replace(str(Path(name)), str(place)))
        raise
    except OSError as error:
        error.filename = str(error.filename or place).replace(str(Path(name)), str(place))
        error.filename2 = str(error.filename2).replace(str(Path(name)), str(place)) if error.filename2 else None
        raise


def check_readable(path: Path, most_bytes: int) -> int:
    """Return the size of a regular file in bytes.

    Raises OSError if `path` is something else, such as a pipe or a device, is missing, or has more than `most_bytes`.
    """
    facts = path.stat()
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise _special(path, facts)
    if facts.st_size > most_bytes:
        raise _too_large(path, f"it has {facts.st_size} bytes", most_bytes)
    return facts.st_size


def open_readable(path: Path, most_bytes: int) -> io.BufferedReader:
    """Open a regular file for reading. Raises OSError as `check_readable`, and if it cannot be opened."""
    check_readable(path, most_bytes)
    return path.open("rb")


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file. Raises OSError as `open_readable`."""
    with open_readable(path, most_bytes) as file:
        return file.read()


def read_text(path: Path, most_bytes: int = MOST_TEXT_BYTES, *, encoding: str = "utf-8") -> str:
    """Return the text of a regular file; line ends of all systems become one. Raises OSError as `open_readable`.

    Raises UnicodeDecodeError if it is no text in this encoding.
    """
    return _decode(read_bytes(path, most_bytes), encoding)


def read_text_or_pipe(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """Return the text of a regular file, or of a pipe to its end, such as ``/dev/stdin``. Raises as `read_text`."""
    facts = path.stat()
    if not stat.S_ISFIFO(facts.st_mode):
        return read_text(path, most_bytes)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # which does not wait for a program that writes
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "rb") as pipe:
        content = pipe.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise _too_large(path, "more comes out of the pipe", most_bytes)
    return _decode(content, "utf-8")


def _decode(content: bytes, encoding: str) -> str:
    return io.TextIOWrapper(io.BytesIO(content), encoding=encoding).read()


def _special(path: Path, facts: os.stat_result) -> OSError:
    kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "a special file")
    return OSError(errno.ENXIO, f"it is {kind}, and not a regular file", str(path))


def _too_large(path: Path, what: str, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"{what}, and such a file has at most {most_bytes}", str(path))


def is_stream(path: Path) -> bool:
    """Tell whether `path` is a pipe or a device, which is written to directly and not replaced.

    Raises OSError if it is nothing that can be written to: a folder, a socket, or the standard output of this command.
    """
    try:
        facts = path.stat()
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if _is_standard_output(facts):
        raise OSError(errno.ENXIO, "it is the standard output, which the report goes to", str(path))
    if stat.S_ISREG(facts.st_mode):
        return False
    if not (stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode)):
        raise _special(path, facts)
    return True


def _is_standard_output(facts: os.stat_result) -> bool:
    """Tell whether a file is what this process prints to; a device such as ``/dev/null`` may be both."""
    try:
        own = os.fstat(1)
    except OSError:  # it is closed
        return False
    return os.path.samestat(facts, own) and (os.isatty(1) or not stat.S_ISCHR(own.st_mode))


def check_place(path: Path) -> None:
    """Raise the OSError that writing to `path` would end in, as far as can be told beforehand."""
    if is_stream(path):
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.access(folder, os.W_OK):
        is_read_only = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY
        number = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(number, os.strerror(number), str(folder))


def write_atomically(path: Path, content: bytes, like: Path | None = None) -> None:
    """Write `content` to a temporary file beside `path`, flush it to the disk, and move it into place.

    A symbolic link stays, and the file that it names is replaced. A device or a pipe is written to directly. The file
    gets the owner, the mode, the times and the extended attributes of the file `like`, where one is given.
    Raises OSError, which names `path` and never the temporary file, when the system refuses.
    """
    if is_stream(path):
        _write_to_stream(path, content)
        return
    path = path.resolve() if path.is_symlink() else path
    with replacing(path, like) as file:
        file.write(content)


def sha256_of(path: Path, most_bytes: int = sys.maxsize) -> str:
    """Return the SHA-256 of a regular file as hexadecimal text. Raises OSError as `open_readable`."""
    with open_readable(path, most_bytes) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(file: Path) -> str:
    """Return the SHA-256 of a file and of those that belong to it, such as ``FILE.data``; empty if it is no file.

    Logs (``FILE.run.log``) do not count. Raises OSError if the system refuses, or one of them is no regular file.
    """
    if not file.is_file():
        return ""
    digest = hashlib.sha256()
    companions = [part for part in file.parent.glob(f"{glob.escape(file.name)}.*") if part.suffix != ".log"]
    for part in (file, *sorted(companions)):
        digest.update(f"{part.name} {sha256_of(part)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _write_to_stream(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # which does not wait for a program that reads
    except OSError as error:
        if error.errno == errno.ENXIO:
            error.strerror = "it is a pipe that no program reads"
        raise
    os.set_blocking(descriptor, True)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
    except OSError as error:
        error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path, like: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that replaces it when the block ends, and is removed when the block fails.

    It gets the owner, the mode, the times and the extended attributes of the file `like`, where one is given.

    Raises OSError, which names `path` and never the temporary file, when the system refuses.
    """
    if is_stream(path):
        raise _special(path, path.stat())
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
        Of the class `error`: another process holds the lock, and `doing` says what such a process does with the folder;
        or the file system has no locks.
    OSError
        The folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / LOCK, timeout=wait_s), folder / HOLDER
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "flock not supported")  # a file in place of it may let two processes in
            lock.acquire()
    except Timeout:
        who = _holder_of(holder) or "another process"
        cure = "try again later" if wait_s else "wait for it, or use another folder"
        raise error(f"{who} is {doing}", where=folder, cure=cure) from None
    except (OSError, UserWarning) as refused:
        if isinstance(refused, OSError) and refused.errno not in _NO_LOCKS:
            raise
        cure = "use a folder on another one, such as a local disk"
        raise error("its file system has no locks", where=folder, cure=cure) from None
    try:
        with naming(holder):
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
