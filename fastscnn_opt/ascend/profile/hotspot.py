"""A hotspot of a profile, and how operators are assigned to hotspots."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastscnn_opt.ascend.profile.profile import Operator, Profile
    from fastscnn_opt.ascend.profile.tables import ProfiledTensor

Key = TypeVar("Key")

MOVERS = ("TransData", "TransposeD", "Transpose", "Cast")
"""Operators that the compiler puts between others of different layouts and types."""

NO_CURE = "no pass or patch addresses it"


@dataclass(frozen=True)
class Hotspot:
    """Operators that cost time for one reason, and what would save it; users know it as a finding.

    Attributes
    ----------
    what
        The operators in words.
    operators
        The operators, with the conversions that they force.
    cure
        How to save their time, or that nothing does.
    passes
        Pipeline text of the passes that the cure names; empty where none does.
    patch
        The shipped white-list patch that the cure names; empty where none does.
    """

    what: str
    operators: tuple[Operator, ...]
    cure: str
    passes: str = ""
    patch: str = ""

    @property
    def time_us(self) -> float:
        """Time of the operators in one run."""
        return sum(operator.time_us for operator in self.operators)

    def to_json(self, profile: Profile) -> dict[str, Any]:
        """Return the hotspot as plain values; the share is a fraction of the total of `profile`."""
        return {
            "what": self.what,
            "time_us": self.time_us,
            "share": profile.share(self.time_us),
            "types": sorted({operator.op_type for operator in self.operators}),
            "operators": [operator.name for operator in self.operators if operator.name],
            "cure": self.cure,
            "passes": self.passes,
            "patch": self.patch,
        }


class UnassignedOperators:
    """The operators that are in no hotspot yet."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.all = tuple(operators)
        """Every operator, in a hotspot or not."""
        self._left = list(operators)

    def take(self, matches: Callable[[Operator], bool]) -> list[Operator]:
        """Remove and return the operators that match."""
        taken = [operator for operator in self._left if matches(operator)]
        self._left = [operator for operator in self._left if not matches(operator)]
        return taken

    def take_off_core(self, matches: Callable[[Operator], bool] = lambda _: True) -> list[Operator]:
        """Remove and return the operators that match and leave the AI Core."""
        return self.take(lambda operator: operator.leaves_ai_core and matches(operator))

    def take_before(self, group: Sequence[Operator], types: Sequence[str] = MOVERS) -> list[Operator]:
        """Remove and return operators of these types whose results `group` reads, and those before them."""
        wanted = {tensor for operator in group for tensor in _tensors(operator.inputs)}
        taken = self.take(lambda other: other.op_type in types and not wanted.isdisjoint(_tensors(other.outputs)))
        return taken + self.take_before(taken, types) if taken else []

    def take_after(self, group: Sequence[Operator], types: Sequence[str] = MOVERS) -> list[Operator]:
        """Remove and return operators of these types that read results of `group`, and those after them."""
        made = {tensor for operator in group for tensor in _tensors(operator.outputs)}
        taken = self.take(lambda other: other.op_type in types and not made.isdisjoint(_tensors(other.inputs)))
        return taken + self.take_after(taken, types) if taken else []


def _tensors(tensors: Iterable[ProfiledTensor]) -> set[tuple[tuple[int, ...], str]]:
    """Return shapes and types, which tell feature maps apart; formats are not written the same on both sides."""
    return {(tensor.shape, tensor.dtype) for tensor in tensors if tensor.shape is not None and len(tensor.shape) > 2}


def grouped(operators: Iterable[Operator], key: Callable[[Operator], Key]) -> dict[Key, list[Operator]]:
    """Return the operators by their key, in the order of its first occurrence."""
    groups: dict[Key, list[Operator]] = defaultdict(list)
    for operator in operators:
        groups[key(operator)].append(operator)
    return groups
