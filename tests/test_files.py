"""Files are written whole or not at all, with the permissions that the user asks for, and folders are locked."""

import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastscnn_opt.errors import RunError
from fastscnn_opt.files import (
    check_place,
    from_os_error,
    locked,
    read_bytes,
    read_text_or_pipe,
    replacing,
    temporary_folder,
    write_atomically,
)

NAME = "m.onnx"


def test_content_is_written(tmp_path):
    write_atomically(tmp_path / NAME, b"content")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {NAME: b"content"}


def test_nothing_is_at_the_place_before_the_end(tmp_path):
    with replacing(tmp_path / NAME) as file:
        file.write(b"content")
        assert not (tmp_path / NAME).exists()
    assert (tmp_path / NAME).read_bytes() == b"content"


def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / NAME
    path.write_bytes(b"old")

    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new content")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]


def test_a_full_disk_names_the_file_that_was_to_be(tmp_path, monkeypatch):
    def refuse(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / NAME, b"content")
    assert caught.value.filename == str(tmp_path / NAME)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told_by_the_file_that_was_to_be(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "none" / NAME, b"content")
    assert caught.value.filename == str(tmp_path / "none" / NAME)


def test_a_folder_is_not_written_to(tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        write_atomically(tmp_path, b"content")
    assert caught.value.filename == str(tmp_path)


def test_a_link_stays_and_the_file_it_names_is_written(tmp_path):
    (tmp_path / NAME).write_bytes(b"old")
    link = tmp_path / "link.onnx"
    link.symlink_to(NAME)
    write_atomically(link, b"new content")
    assert link.is_symlink()
    assert (tmp_path / NAME).read_bytes() == b"new content"


@pytest.mark.parametrize("refused", ["part/file", None])
def test_a_full_disk_under_a_temporary_folder_names_the_place_that_it_stands_for(tmp_path, refused):
    with pytest.raises(OSError, match="No space") as caught, temporary_folder(tmp_path, ".t-", tmp_path) as folder:
        raise OSError(errno.ENOSPC, "No space left on device", *([str(folder / refused)] if refused else []))
    assert caught.value.filename == str(tmp_path / (refused or ""))
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_from_a_temporary_folder_names_the_place_that_it_stands_for(tmp_path):
    with pytest.raises(RunError) as caught, temporary_folder(tmp_path, ".t-", tmp_path) as folder:
        raise RunError("is full", where=folder / "a", cure=f"look into {folder}")
    assert str(caught.value) == f"{tmp_path}/a: is full; look into {tmp_path}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"content")
        assert os.read(reader, 100) == b"content"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_file_like_another_has_its_mode_and_times(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"")
    other.chmod(0o640)
    os.utime(other, ns=(10**18, 10**18 + 1))
    write_atomically(tmp_path / NAME, b"content", like=other)
    status = (tmp_path / NAME).stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 10**18 + 1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_like_another_has_its_owner(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"")
    os.chown(other, 12345, 54321)
    write_atomically(tmp_path / NAME, b"content", like=other)
    status = (tmp_path / NAME).stat()
    assert (status.st_uid, status.st_gid) == (12345, 54321)


WRITE = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from fastscnn_opt.files import (
    check_place, from_os_error, locked, read_bytes, read_text_or_pipe, replacing, write_atomically,
)
write_atomically(Path(sys.argv[1]), b"content")
"""


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o137])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path, umask):
    subprocess.run([sys.executable, "-c", WRITE, tmp_path / NAME, f"{umask:o}"], check=True)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o666 & ~umask


def test_threads_that_write_at_the_same_time_leave_the_umask_alone(tmp_path, monkeypatch):
    """Setting it, even for a moment, would make the file that another thread creates in that moment world-writable."""

    def refuse(_mask):
        raise AssertionError("the umask of the process was changed")

    monkeypatch.setattr(os, "umask", refuse)
    names = [f"{number}.bin" for number in range(40)]
    threads = [threading.Thread(target=write_atomically, args=(tmp_path / name, name.encode())) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: name.encode() for name in names}


HOLD = """
import sys
from pathlib import Path
from fastscnn_opt.errors import RunError
from fastscnn_opt.files import (
    check_place, from_os_error, locked, read_bytes, read_text_or_pipe, replacing, write_atomically,
)
with locked(Path(sys.argv[1]), "counting", RunError):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path` until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_locked_folder_is_refused_with_who_holds_it(tmp_path, holder):
    with pytest.raises(RunError) as caught, locked(tmp_path, "counting", RunError):
        pass
    error = caught.value
    assert error.what.startswith(f"process {holder.pid} on ")
    assert error.what.endswith(" UTC, is counting")
    assert (error.where, error.cure) == (str(tmp_path), "wait for it, or use another folder")


def test_a_lock_is_waited_for_as_long_as_is_asked(tmp_path, holder):
    threading.Timer(0.2, holder.stdin.close).start()
    with locked(tmp_path, "counting", RunError, wait_s=60):
        assert holder.wait() == 0


def test_a_lock_that_stays_is_refused_after_the_wait(tmp_path, holder):
    with pytest.raises(RunError, match="is counting; try again later"), locked(tmp_path, "counting", RunError, 0.05):
        pass
    assert holder.poll() is None


def test_the_lock_of_a_killed_process_is_free(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locked(tmp_path, "counting", RunError):
        pass


def test_a_lock_is_free_after_its_block(tmp_path):
    for _ in range(2):
        with locked(tmp_path, "counting", RunError):
            pass
    assert [file.name for file in tmp_path.iterdir()] in ([], [".lock"])


@pytest.mark.skipif(sys.platform == "win32", reason="there, locks are of another kind")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(RunError) as caught, locked(tmp_path, "counting", RunError):
        pass
    assert str(caught.value) == (
        f"{tmp_path}: its file system has no locks; use a folder on another one, such as a local disk"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.bin"),
         "a.bin: No space left on device; free some space there, or choose another disk"),
        (OSError(errno.ENOSPC, "No space left on device", "from.bin", None, "to.bin"),
         "to.bin: No space left on device; free some space there, or choose another disk"),
        (OSError(errno.ENOSPC, "No space left on device"),
         "No space left on device; free some space on the disk of the output, and on that of temporary files (TMPDIR)"),
        (OSError(errno.EISDIR, "Is a directory"), "Is a directory; give the path of a file"),
        (OSError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (OSError("no number"), "no number"),
    ],
)  # fmt: skip
def test_an_error_of_the_system_becomes_a_sentence(error, words):
    assert str(from_os_error(error)) == words


def test_a_place_in_a_folder_that_can_be_written_to_is_right(tmp_path):
    check_place(tmp_path / NAME)


def test_a_place_in_a_missing_folder_is_refused_beforehand(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        check_place(tmp_path / "none" / NAME)
    assert caught.value.filename == str(tmp_path / "none")


def test_a_place_in_a_read_only_folder_is_refused_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda _folder, mode: mode != os.W_OK)  # root may write everywhere
    with pytest.raises(PermissionError) as caught:
        check_place(tmp_path / NAME)
    assert caught.value.filename == str(tmp_path)


def _fifo(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _socket(folder):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(folder / "socket"))
    return folder / "socket"


def _loop(folder):
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


def _sparse(folder):
    with (folder / "sparse").open("wb") as file:
        file.truncate(10 * 2**30)
    return folder / "sparse"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_fifo, "a pipe"),
        (lambda _: Path("/dev/zero"), "a device"),
        (_socket, "a socket"),
        (lambda folder: folder, "Is a directory"),
        (_loop, "symbolic links"),
        (_sparse, "10737418240 bytes"),
    ],
)
def test_only_regular_files_of_a_bounded_size_are_read(tmp_path, make, reason):
    path = make(tmp_path)
    with pytest.raises(OSError, match=reason) as caught:
        read_bytes(path, 100)
    assert caught.value.filename == str(path)
    assert from_os_error(caught.value).cure


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_text_is_read_from_a_pipe_up_to_a_limit():
    reader, writer = os.pipe()
    os.write(writer, b"remove-noops\n")
    os.close(writer)
    assert read_text_or_pipe(Path(f"/dev/fd/{reader}")) == "remove-noops\n"
    os.close(reader)
    reader, writer = os.pipe()
    os.write(writer, b"longer")
    with pytest.raises(OSError, match="at most 5"):
        read_text_or_pipe(Path(f"/dev/fd/{reader}"), 5)
    os.close(reader)
    os.close(writer)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_nobody_writes_to_is_empty_and_one_that_nobody_reads_is_refused(tmp_path):
    assert read_text_or_pipe(_fifo(tmp_path)) == ""
    with pytest.raises(OSError, match="no program reads"):
        write_atomically(tmp_path / "pipe", b"content")


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="this system has no /dev/null")
def test_a_device_is_never_replaced():
    with pytest.raises(OSError, match="a device"), replacing(Path("/dev/null")):
        pass
    assert Path("/dev/null").is_char_device()


def test_the_standard_output_is_no_place_for_a_result(tmp_path):
    code = "import sys; from pathlib import Path; from fastscnn_opt.files import check_place\n"
    code += "try: check_place(Path('/dev/stdout'))\nexcept OSError as error: sys.exit(error.strerror)"
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run([sys.executable, "-c", code], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert "standard output" in done.stderr
