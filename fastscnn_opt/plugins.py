"""Finds and calls the plug-ins that installed distributions, this one included, offer through an entry point group."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, redirect_stdout
from traceback import TracebackException
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RegistryError, UserError
from fastscnn_opt.files import FULL_DISK, from_os_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

_TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that was asked to end."""


@contextmanager
def calling(what: str, error: type[UserError]) -> Iterator[None]:
    """Run code of a plug-in: what it prints goes to stderr, and what it raises becomes an `error`.

    `what` is the beginning of the sentence, such as "the pass paint failed". Errors of the kind UserError and
    interruptions pass as they are; an exit is an error, because it would end the command as if it were done.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as problem:
        if isinstance(problem, SystemExit) and problem.code == _TERMINATED:
            raise
        if isinstance(problem, OSError) and problem.errno in FULL_DISK:
            refusal = from_os_error(problem)
            raise error(f"{what}: {refusal.what}", where=refusal.where, cure=refusal.cure) from problem
        raise error(f"{what}: {reason_of(problem)}", cure="--debug shows where") from problem


def reason_of(problem: BaseException) -> str:
    """Return what an exception says, with its kind if it is none of ours; its text itself may raise."""
    text = str(TracebackException.from_exception(problem))
    return text if isinstance(problem, UserError) else f"{type(problem).__name__}: {text}"


def entry_points_of(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, in alphabetical order, without importing any."""
    from importlib.metadata import entry_points

    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(point: EntryPoint, thing: str) -> Any:
    """Import the object of an entry point; `thing` says in errors what it should be.

    Raises
    ------
    RegistryError
        It cannot be imported, or two distributions claim its name.
    """
    from importlib.metadata import entry_points

    claims = {other.value: origin_of(other) for other in entry_points(group=point.group, name=point.name)}
    if len(claims) > 1:
        both = " and ".join(sorted(claims.values()))
        raise RegistryError(f"the {thing} name {point.name!r} is claimed by both {both}", cure="uninstall one of them")
    with calling(f"the {thing} {point.name!r} of {origin_of(point)} cannot be imported", RegistryError):
        return point.load()


def origin_of(point: EntryPoint) -> str:
    """Return the distribution and the place of an entry point."""
    distribution = f"{point.dist.name} " if point.dist else ""
    return f"{distribution}({point.value})"
