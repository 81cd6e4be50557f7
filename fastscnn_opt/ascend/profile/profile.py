"""A profile: the operators of one run of a network and their times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.ascend.chip import is_ai_core
from fastscnn_opt.ascend.profile.tables import NOT_AVAILABLE, ProfiledTensor, TableKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Operator:
    """An operator of the network on one kind of core.

    Attributes
    ----------
    name
        Its name in the compiled network; empty where only its type is known.
    executions
        How often it ran, all runs together.
    time_us
        Its time in one run, the mean over all runs.
    """

    name: str
    op_type: str
    core: str
    executions: int
    time_us: float
    inputs: tuple[ProfiledTensor, ...] = ()
    outputs: tuple[ProfiledTensor, ...] = ()

    @property
    def leaves_ai_core(self) -> bool:
        """Whether it ran on something else than the AI Core or its vector units, as far as the profile tells."""
        return self.core.lower() not in NOT_AVAILABLE and not is_ai_core(self.core)


@dataclass(frozen=True)
class TypeTime:
    """All operators of a type on one kind of core; `time_us` is as in `Operator`, other times are of one execution."""

    op_type: str
    core: str
    executions: int
    time_us: float
    shortest_us: float
    longest_us: float


@dataclass(frozen=True)
class Profile:
    """The time of a network, operator by operator.

    Attributes
    ----------
    tables
        The files that the figures are from.
    kind
        What these files hold. An op_statistic knows the types only.
    runs
        Runs of the network that the files hold, iterations and devices together. All times are of one run, which is
        the sum over all runs divided by their number.
    operators, types
        The costliest first.
    notes
        What the figures leave out or assume.
    """

    tables: tuple[Path, ...]
    kind: TableKind
    runs: int
    operators: tuple[Operator, ...]
    types: tuple[TypeTime, ...]
    notes: tuple[str, ...] = ()

    @property
    def total_us(self) -> float:
        """Time of all operators in one run."""
        return sum(item.time_us for item in self.types)

    def share(self, time_us: float) -> float:
        """Return the fraction of the total that `time_us` is."""
        return time_us / self.total_us if self.total_us else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values; shares are fractions of the total."""
        return {
            "tables": [str(table) for table in self.tables],
            "kind": self.kind.value,
            "runs": self.runs,
            "total_us": self.total_us,
            "types": self._rows(self.types),
            "operators": self._rows(self.operators),
            "conversions": self._rows(item for item in self.operators if item.op_type == "TransData"),
            "off_core": self._rows(item for item in self.operators if item.leaves_ai_core),
            "notes": list(self.notes),
        }

    def _rows(self, items: Iterable[Operator | TypeTime]) -> list[dict[str, Any]]:
        rows = (asdict(item) for item in items)
        return [{"type": row.pop("op_type"), **row, "share": self.share(row["time_us"])} for row in rows]
