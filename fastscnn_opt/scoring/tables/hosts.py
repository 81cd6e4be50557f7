"""Where the rows of a table were timed, and which of their figures cannot be compared for that reason."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from fastscnn_opt.scoring.records import DEVICE_SEPARATOR
from fastscnn_opt.text import counted, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastscnn_opt.scoring.records import SessionRecord


@dataclass(frozen=True)
class Place:
    """A host, what the engines of a session ran on there, and its usable cores; what is not known is empty or 0."""

    host: str
    devices: tuple[str, ...]
    cores: int

    @classmethod
    def of(cls, session: SessionRecord) -> Place:
        """Return where a session was timed."""
        return cls(session.host, tuple(filter(None, session.device.split(DEVICE_SEPARATOR))), session.cores)

    @property
    def hardware(self) -> str:
        """The devices and the number of cores, as far as they are known."""
        return "; ".join((*self.devices, *([counted(self.cores, "core")] if self.cores else [])))

    @property
    def text(self) -> str:
        """The host with its hardware."""
        return f"{self.host} ({self.hardware})" if self.hardware else self.host

    def has_other_devices(self, other: Place) -> bool:
        """Tell whether the engines ran on other devices in `other`, as far as the devices of both are known."""
        return bool(self.devices and other.devices) and not set(self.devices) & set(other.devices)

    def has_other_hardware(self, other: Place) -> bool:
        """Tell whether `other` has other devices, or another number of cores, as far as both are known."""
        return self.has_other_devices(other) or (0 not in (self.cores, other.cores) and self.cores != other.cores)


def machines(places: Iterable[Place]) -> list[Place]:
    """Return each host once, with the devices of all its sessions."""
    found: dict[str, Place] = {}
    for place in places:
        known = found.get(place.host, Place(place.host, (), 0))
        devices = tuple(dict.fromkeys((*known.devices, *place.devices)))
        found[place.host] = Place(place.host, devices, max(known.cores, place.cores))
    return list(found.values())


def place_caveat(places: Mapping[tuple[str, str, int], Place]) -> str:
    """Say that rows were timed on several hosts, or rows of one target on several devices; empty if they were not.

    The keys of `places` are the identities of the rows.
    """
    if len(hosts := machines(places.values())) > 1:
        return _caveat("machines", hosts)
    timed = dict.fromkeys((target, place) for (_, target, _), place in places.items())
    for (target, one), (same, other) in combinations(timed, 2):
        if target == same and one.has_other_devices(other):
            return _caveat("devices", [place for name, place in timed if name == target])
    return ""


def _caveat(what: str, places: Iterable[Place]) -> str:
    return (
        f"rows were timed on different {what}, {joined([place.text for place in places])}; each ratio is from one "
        f"session on one machine, but times and fps from different {what} cannot be compared"
    )
