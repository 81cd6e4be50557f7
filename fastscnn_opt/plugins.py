"""Finds the plug-ins that installed distributions, this one included, offer through an entry point group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RegistryError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points_of(group: str, thing: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, in alphabetical order, without importing any.

    `thing` says in errors what the group holds. Raises RegistryError if two distributions claim one name.
    """
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise RegistryError(
                f"the {thing} name {point.name!r} is claimed by both {origin_of(other)} and {origin_of(point)}",
                cure="uninstall one of them",
            )
    return found


def load(point: EntryPoint, thing: str) -> Any:
    """Import the object of an entry point. Raises RegistryError if that fails; `thing` says what it should be."""
    try:
        return point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise RegistryError(f"the {thing} {point.name!r} of {origin_of(point)} cannot be imported: {error}") from error


def origin_of(point: EntryPoint) -> str:
    """Return the distribution and the place of an entry point."""
    distribution = f"{point.dist.name} " if point.dist else ""
    return f"{distribution}({point.value})"
