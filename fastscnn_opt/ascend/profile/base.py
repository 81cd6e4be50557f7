"""A profile: the operators of one run and their times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.ascend.chip import is_ai_core
from fastscnn_opt.ascend.profile.tables import NOT_AVAILABLE, TableKind, TensorColumn

if TYPE_CHECKING:
    from pathlib import Path

Tensors = tuple[TensorColumn, ...]


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
    inputs: Tensors = ()
    outputs: Tensors = ()

    @property
    def leaves_ai_core(self) -> bool:
        """Whether it ran on something else than the AI Core or its vector units, as far as the profile tells."""
        return self.core.lower() not in NOT_AVAILABLE and not is_ai_core(self.core)


@dataclass(frozen=True)
class TypeTime:
    """All operators of one type on one kind of core; `time_us` as in `Operator`, the others of a single execution."""

    op_type: str
    core: str
    executions: int
    time_us: float
    shortest_us: float
    longest_us: float


@dataclass(frozen=True)
class Profile:
    """Where the time went.

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
        What the figures leave out or take for granted.
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
            "types": [
                {
                    "type": item.op_type,
                    "core": item.core,
                    "executions": item.executions,
                    "time_us": item.time_us,
                    "share": self.share(item.time_us),
                    "shortest_us": item.shortest_us,
                    "longest_us": item.longest_us,
                }
                for item in self.types
            ],
            "operators": [self._operator_json(item) for item in self.operators],
            "conversions": [self._operator_json(item) for item in self.operators if item.op_type == "TransData"],
            "off_core": [self._operator_json(item) for item in self.operators if item.leaves_ai_core],
            "notes": list(self.notes),
        }

    def _operator_json(self, item: Operator) -> dict[str, Any]:
        return {
            "name": item.name,
            "type": item.op_type,
            "core": item.core,
            "executions": item.executions,
            "time_us": item.time_us,
            "share": self.share(item.time_us),
            "inputs": [_tensor_json(tensor) for tensor in item.inputs],
            "outputs": [_tensor_json(tensor) for tensor in item.outputs],
        }


def dtype_name(tensor: TensorColumn) -> str:
    """Return the element type under its numpy name; profiles write float32 as FLOAT, and float64 as DOUBLE."""
    return {"float": "float32", "double": "float64"}.get(tensor.dtype, tensor.dtype)


def _tensor_json(tensor: TensorColumn) -> dict[str, Any]:
    return {
        "shape": None if tensor.shape is None else list(tensor.shape),
        "dtype": dtype_name(tensor),
        "format": tensor.format,
    }
