"""Trees that cannot be written to: read-only, of another user, on a full disk."""

import os
import resource
import signal
from collections.abc import Callable

import pytest
from trees import MakeTree, contents

from fastscnn_opt.ascend.whitelists.applying import apply
from fastscnn_opt.ascend.whitelists.patchfile import Patch
from fastscnn_opt.errors import PatchError


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_tree_is_refused_beforehand(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    impl.chmod(0o555)
    with pytest.raises(PatchError, match="cannot be written; run the command as the owner"):
        apply(impl, recipe)
    impl.chmod(0o755)


def in_a_child(action: Callable[[], object]) -> str:
    """Run `action` in a child process and return the message of the PatchError that it ends with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        try:
            action()
        except PatchError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        message = pipe.read()
    os.waitpid(child, 0)
    return message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_tree_of_another_user_is_refused_beforehand(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    for folder in (impl, *impl.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    before = contents(impl)

    def as_nobody() -> None:
        os.setuid(65534)
        apply(impl, recipe)

    assert "cannot be written; run the command as the owner" in in_a_child(as_nobody)
    assert contents(impl) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_of_another_user_is_refused_because_its_owner_would_change(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    for folder in (impl, *impl.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    impl.chmod(0o777)
    before = contents(impl)

    def as_nobody() -> None:
        os.setuid(65534)
        apply(impl, recipe)

    assert "belongs to another user (uid 0)" in in_a_child(as_nobody)
    assert contents(impl) == before


def test_a_full_disk_leaves_the_tree_untouched(make_tree: MakeTree, recipe: Patch) -> None:
    impl = make_tree()
    before = contents(impl)

    def on_a_full_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        apply(impl, recipe)

    assert "nothing was changed" in in_a_child(on_a_full_disk)
    assert contents(impl) == before
