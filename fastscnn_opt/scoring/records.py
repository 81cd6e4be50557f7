"""What is recorded about a row: what it is, how it ended, its accuracy, its speed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import ConfigDict

from fastscnn_opt.errors import CheckFailedError, UserError
from fastscnn_opt.targets.processes.death import ChildCrashedError, ChildHungError


class Status(StrEnum):
    """How a row ended."""

    OK = "ok"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    BROKEN = "broken"
    """A pass broke its contract."""
    UNAVAILABLE = "unavailable"
    COMPILED = "compiled"
    """Built and compiled, to be run later or on another machine."""
    PRUNED = "pruned"
    """Given up by a search, because it loses too much accuracy."""
    PENDING = "pending"
    """Asked for, but not scored yet."""


_WHOLE = ConfigDict(extra="forbid")
"""When a record is read: what a later release has added is an error."""


class Identified:
    """A row of a run, told from the others by its variant, target and batch size."""

    variant: str
    target: str
    batch: int
    __pydantic_config__: ClassVar = _WHOLE

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells this row from the others of a run."""
        return self.variant, self.target, self.batch


@dataclass(frozen=True)
class Keys:
    """Hashes of everything that figures depend on; equal keys mean that the figures may be used again.

    Attributes
    ----------
    row
        Source model, pipeline, patches, whether it was verified, and the accuracy key.
    accuracy
        Built model, target with options and tool versions, data, batch size.
    speed
        The same without the data.
    """

    row: str
    accuracy: str = ""
    speed: str = ""
    __pydantic_config__: ClassVar = _WHOLE


@dataclass(frozen=True)
class RowRecord(Identified):
    """One row: what it is, how it ended, and its accuracy.

    `source` and `data` tell the model and the images apart from others; paths are relative to the run folder.
    `details` is what only the report shows: the ``confusion`` matrix, the median ``stages_ms`` per image, and the file
    of kept ``predictions``. Each of `steps` tells under ``nodes`` what was changed and skipped.
    `reproduce` is a command that does again what ended the process of the row.
    """

    variant: str
    passes: str
    patches: list[str]
    target: str
    batch: int
    source: str
    data: str
    keys: Keys
    status: Status
    reason: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    model: str | None = None
    artefact: str | None = None
    model_sha256: str | None = None
    model_bytes: int | None = None
    peak_rss_bytes: int | None = None
    accuracy: dict[str, Any] | None = None
    details: dict[str, Any] | None = field(default=None, compare=False)
    seconds: float = field(default=0.0, compare=False)
    at: str = field(default="", compare=False)
    reproduce: str = field(default="", compare=False)


@dataclass(frozen=True)
class CompiledRecord(Identified):
    """A row that is built and compiled: what it is, and all that running it takes.

    `source` tells the model apart from others, `options` and `tools` are those of the target, and `speed_key` is the
    key of its speed; paths are relative to the run folder.
    """

    variant: str
    passes: str
    patches: list[str]
    target: str
    batch: int
    source: str
    options: dict[str, Any]
    tools: dict[str, str]
    model: str
    model_sha256: str
    artefact: str
    steps: list[dict[str, Any]]
    speed_key: str


@dataclass(frozen=True)
class RowTiming(Identified):
    """One row of a timing session: its figures, or why there are none. `samples_ms` is rounds x iterations."""

    variant: str
    target: str
    batch: int
    speed_key: str
    status: Status
    reason: str = ""
    median_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    fps: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    fps_per_card: float | None = None
    warm_up: dict[str, Any] | None = None
    samples_ms: list[list[float]] = field(default_factory=list)
    reproduce: str = ""


@dataclass(frozen=True)
class SessionRecord:
    """Rows that were timed side by side, and how.

    `baseline_key` is the speed key of the row their ratios refer to, and `busy_cores` how many cores other programs
    kept busy meanwhile, None in old records.
    """

    at: str
    effort: dict[str, Any]
    isolation: str
    rounds: int
    baseline_key: str | None
    rows: list[RowTiming]
    busy_cores: float | None = None
    __pydantic_config__: ClassVar = _WHOLE


def key_of(*parts: object) -> str:
    """Return the SHA-256 of anything that JSON can hold, as hexadecimal text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def now() -> str:
    """Return the time, in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def outcome_of(error: UserError, label: str) -> tuple[Status, str]:
    """Return the status and the reason of the row called `label` that ended with `error`."""
    statuses: dict[type[UserError], Status] = {
        ChildCrashedError: Status.CRASHED,
        ChildHungError: Status.TIMED_OUT,
        CheckFailedError: Status.BROKEN,
    }
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), Status.FAILED)
    if error.where == label:
        error.where = ""  # the table names the row
    return status, str(error)
