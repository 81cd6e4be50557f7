"""Keeps the operator sources of a vendor compiler patched while one row is compiled, and no longer."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.ascend.whitelists.patchfile import Patch
    from fastscnn_opt.targets.spec import TargetSpec

_log = logging.getLogger(__name__)


@contextmanager
def patched(target: TargetSpec) -> Iterator[None]:
    """While the block runs, the compiler's sources carry exactly the patches that `target` names.

    What was applied before stays applied; what this applies is reverted at the end.

    Raises
    ------
    PatchError
        A patch cannot be applied or reverted, or the sources carry one that was not asked for, so the row would not be
        what its name says.
    """
    from fastscnn_opt.ascend.whitelists.applying import apply, revert, undo_interrupted
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.plan import remarks
    from fastscnn_opt.ascend.whitelists.status import applied

    if "patches" not in target.options:
        yield
        return
    wanted = _patches(target)
    try:
        impl = find_impl(None)
    except PatchError:
        if wanted:
            raise
        yield  # no sources, so no patch in them
        return
    undo_interrupted(impl)
    present = {patch.name for patch in applied(impl)}
    others = present - {patch.name for patch in wanted}
    if others:
        name = min(others)
        raise PatchError(
            f"{impl} carries the patch {name!r}, which this row does not ask for",
            cure=f"take it out with `fastscnn-opt patch revert {name}`",
        )
    with ExitStack() as stack:
        for patch in wanted:
            if patch.name not in present:
                # Registered first: an interruption between the two must not leave the patch behind.
                stack.callback(revert, impl, patch.name)
                apply(impl, patch)
            for remark in remarks(impl, patch):
                _log.warning("patch %s: %s", patch.name, remark)
        yield


def patches_key(target: TargetSpec) -> list[dict[str, Any]]:
    """Return the content of the patches of `target`, which an artefact depends on as on a tool's version."""
    return [patch.model_dump(mode="json") for patch in _patches(target)]


def _patches(target: TargetSpec) -> list[Patch]:
    from fastscnn_opt.ascend.whitelists.patchfile import find

    return [find(name) for name in target.options.get("patches", ())]
