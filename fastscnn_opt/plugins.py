"""Finds and calls the plug-ins that installed distributions, this one included, offer through an entry point group."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache, lru_cache
from pathlib import Path
from traceback import TracebackException
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RegistryError, UserError
from fastscnn_opt.files import FULL_DISK, from_os_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution, EntryPoint

_log = logging.getLogger(__name__)

_TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that was asked to end."""


@contextmanager
def calling(what: str, error: type[UserError]) -> Iterator[None]:
    """Run code of a plug-in: what it prints goes to stderr, and what it raises becomes an `error`.

    The current folder is the same afterwards, since the user's relative paths begin there. `what` is the beginning of
    the sentence, such as "the pass paint failed". Errors of the kind UserError and interruptions pass as they are; an
    exit is an error, because it would end the command as if it were done.
    """
    try:
        with redirect_stdout(sys.stderr), _same_folder():
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


@contextmanager
def _same_folder() -> Iterator[None]:
    """Go back to the current folder when the block ends."""
    try:
        before = Path.cwd()
    except FileNotFoundError:  # it has been removed, so that no path begins there
        yield
        return
    try:
        yield
    finally:
        with suppress(FileNotFoundError):  # it has been renamed or removed meanwhile
            os.chdir(before)


def reason_of(problem: BaseException) -> str:
    """Return what an exception says, with its kind if it is none of ours; its text itself may raise."""
    text = str(TracebackException.from_exception(problem))
    return text if isinstance(problem, UserError) else f"{type(problem).__name__}: {text}"


def entry_points_of(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, in alphabetical order, without importing any."""
    return {point.name: point for point in sorted(_offered(group), key=lambda point: point.name)}


def _offered(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group; they are read again once a folder of `sys.path` has changed."""
    return _read(group, tuple(map(_state_of, sys.path)))


def _state_of(place: str) -> tuple[str, ...] | tuple[str, int, int, int]:
    """Return what differs once a distribution was installed in a folder or removed from it."""
    try:
        found = Path(place).stat()
    except OSError:
        return (place,)
    return place, found.st_dev, found.st_ino, found.st_mtime_ns


@lru_cache(maxsize=8)
def _read(group: str, _places: object) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group. Of several distributions of one name, Python imports the first.

    One whose metadata cannot be read is left out, with a warning: other plug-ins work without it.
    """
    from importlib.metadata import distributions

    seen = set()
    found: list[EntryPoint] = []
    for distribution in distributions():
        try:
            if f"[{group}]" not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name, points = _name_of(distribution), distribution.entry_points.select(group=group)
        except (AttributeError, OSError, TypeError, ValueError) as error:
            place = getattr(distribution, "_path", distribution.locate_file(""))  # such as harm-1.0.dist-info
            _warn_once(
                f"the distribution in {place} is left out, because its entry_points.txt or"
                f" METADATA cannot be read ({reason_of(error)}); install it again"
            )
            continue
        if name not in seen:
            seen.add(name)
            found += points
    return tuple(found)


@cache
def _warn_once(text: str) -> None:
    _log.warning("%s", text)


def load(point: EntryPoint, thing: str) -> Any:
    """Import the object of an entry point; `thing` says in errors what it should be.

    Raises
    ------
    RegistryError
        It cannot be imported, or two distributions claim its name.
    """
    claims = {other.value: origin_of(other) for other in _offered(point.group) if other.name == point.name}
    if len(claims) > 1:
        both = " and ".join(sorted(claims.values()))
        raise RegistryError(f"the {thing} name {point.name!r} is claimed by both {both}", cure="uninstall one of them")
    with calling(f"the {thing} {point.name!r} of {origin_of(point)} cannot be imported", RegistryError):
        return point.load()


def origin_of(point: EntryPoint) -> str:
    """Return the distribution and the place of an entry point."""
    distribution = f"{_name_of(point.dist)} " if point.dist else ""
    return f"{distribution}({point.value})"


@lru_cache(maxsize=64)
def _name_of(distribution: Distribution) -> str:
    """Return the name of a distribution, which parses all of its METADATA each time."""
    return distribution.name
