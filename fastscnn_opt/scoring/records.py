"""The records of a row of a run: its plan, what was built for it, its accuracy and its speed."""

# Without `from __future__ import annotations`, because pydantic reads the types of the fields.
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from fastscnn_opt.measuring.latency import Positive, Throughput, WarmUp
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.effort import Effort

RECORD = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""How records are read: nothing is converted, no key is unknown, and every number is finite. Parts inherit it."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
Batch = Annotated[int, Field(ge=1, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=1e12)]


def _inside(path: str) -> str:
    if not path or path[0] == "/" or ".." in PurePosixPath(path).parts or "\0" in path:
        raise ValueError("should be a path inside the run folder")
    return path


DEVICE_SEPARATOR = "; "
"""What separates the devices of a session; the name of a device may have a comma."""

PathInRun = Annotated[str, AfterValidator(_inside)]
"""The path of a file, relative to the run folder."""


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
    ABSENT = "absent"
    """In another run that this one is compared with, but not in this one."""


class Identified:
    """A row of a run, identified by its variant, target and batch size."""

    variant: str
    target: str
    batch: Batch
    __pydantic_config__: ClassVar = RECORD

    @property
    def identity(self) -> tuple[str, str, int]:
        """Variant, target and batch size, which no other row of the run has."""
        return self.variant, self.target, self.batch

    @property
    def label(self) -> str:
        """The row's name in messages."""
        return f"{self.variant} ({self.target}, batch {self.batch})"


@dataclass(frozen=True)
class RowPlan(Identified):
    """A row that is asked for; `path` is the ONNX file of its own, and `path_key` changes with its content."""

    variant: str
    passes: str
    patches: tuple[str, ...]
    target: str
    batch: Batch
    path: str = field(default="", kw_only=True)
    path_key: str = field(default="", kw_only=True)

    def matches(self, other: "RowPlan") -> bool:
        """Tell whether `other` is the same row, made of the same model of its own by the same passes and patches."""
        mine, theirs = ((row.identity, row.path_key, row.passes, row.patches) for row in (self, other))
        return mine == theirs


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


@dataclass(frozen=True)
class ChangedNode:
    """A node that a pass changed, and how."""

    node: str
    what: str


@dataclass(frozen=True)
class SkippedNode:
    """A node that a pass considered and left alone, and why."""

    node: str
    why: str


@dataclass(frozen=True)
class StepNodes:
    """The first nodes that a pass changed and skipped; there may be too many to record all."""

    changes: tuple[ChangedNode, ...] = ()
    skips: tuple[SkippedNode, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepSummary:
    """What one pass did to the model of a row, and what its verification found.

    `changes` and `skips` are numbers of nodes. `verified` is True if the promise was checked and kept. `nodes` is None
    in the records of old releases, and `text` is empty there.
    """

    name: Annotated[str, Field(alias="pass")]
    text: str = ""
    contract: Contract
    changes: Count
    skips: Count
    seconds: Amount = 0.0
    verified: bool | None
    max_abs_diff: Annotated[float, Field(ge=0)] | None = None
    nodes: StepNodes | None = None

    @property
    def pipeline(self) -> str:
        """The pass with its options as pipeline text."""
        return self.text or self.name

    def to_json(self) -> dict[str, Any]:
        """Return the step without its nodes, which are too many for a table."""
        return {key: value for key, value in as_json(self).items() if key != "nodes"}


@dataclass(frozen=True)
class BuiltModel:
    """An ONNX file that a pipeline made, with what each of its passes did."""

    file: Path
    sha256: str
    steps: tuple[StepSummary, ...]


@dataclass(frozen=True)
class AccuracyFigures:
    """What `eval` prints: fractions, None in `iou` for an absent class; old releases did not record the last four."""

    pixAcc: Share  # noqa: N815 - the name it has in every table
    mIoU: Share  # noqa: N815 - the name it has in every table
    mIoU_all: Share  # noqa: N815 - the name it has in every table
    iou: dict[str, Share | None] = field(default_factory=dict)
    pixels: Count | None = None
    images: Count | None = None
    emulated: bool = False  # by a target that emulates a device


@dataclass(frozen=True)
class AccuracyDetails:
    """What only the report shows of an evaluation.

    Attributes
    ----------
    confusion
        Pixels by class of the label (rows) and of the prediction (columns).
    stages_ms
        Median time per image of each stage.
    predictions
        The file of the label maps, relative to the run folder.
    notes
        What was assumed about the model, and what is unlikely in the result.
    """

    confusion: list[list[Count]] | None = None
    stages_ms: dict[str, Amount] = field(default_factory=dict)
    predictions: PathInRun | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rows = self.confusion or []
        if any(len(row) != len(rows[0]) for row in rows) or (rows and len(rows[0]) - len(rows) not in (0, 1)):
            raise ValueError("confusion should have a row and a column for each class")


@dataclass(frozen=True)
class RowRecord(RowPlan):
    """How a row ended, and its accuracy.

    `source` and `data` are the keys of the model and the images; paths are relative to the run folder. `reproduce` is
    a command that repeats what ended the process of the row. `predictions_sha256` is that of the file of label maps.
    `hosts` measured the accuracy; there are none in old records.
    """

    source: str
    data: str
    keys: Keys
    status: Status
    reason: str = ""
    steps: tuple[StepSummary, ...] = ()
    model: PathInRun | None = None
    artefact: PathInRun | None = None
    model_sha256: str | None = None
    model_bytes: Count | None = None
    peak_rss_bytes: Count | None = None
    accuracy: AccuracyFigures | None = None
    predictions_sha256: str = ""
    details: AccuracyDetails | None = field(default=None, compare=False)
    seconds: Amount = field(default=0.0, compare=False)
    at: str = field(default="", compare=False)
    reproduce: str = field(default="", compare=False)
    hosts: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class CompiledRecord(RowPlan):
    """A row that is built and compiled, with all that is needed to run it.

    `source` is the key of the model, `options` and `tools` are those of the target, and `speed_key` is the key of the
    row's speed; paths are relative to the run folder. `artefact_sha256` is of the content of the artefact, see
    `content_hash`; it is empty in old records.
    """

    source: str
    options: dict[str, Any]
    tools: dict[str, str]
    model: PathInRun
    model_sha256: str
    artefact: PathInRun
    steps: tuple[StepSummary, ...]
    speed_key: str
    artefact_sha256: str = ""


@dataclass(frozen=True)
class RowTiming(Identified):
    """The speed of one row in a timing session, or why there is none, or no throughput.

    `samples_ms` is rounds x iterations; `streams_ms` has the time per request of each round with several at once.
    """

    variant: str
    target: str
    batch: Batch
    speed_key: str
    status: Status
    reason: str = ""
    median_ms: Positive | None = None
    p90_ms: Positive | None = None
    p99_ms: Positive | None = None
    fps: Positive | None = None
    ratio: Positive | None = None
    ratio_low: Positive | None = None
    ratio_high: Positive | None = None
    fps_per_card: Positive | None = None
    warm_up: WarmUp | None = None
    samples_ms: list[list[Amount]] = field(default_factory=list)
    reproduce: str = ""
    throughput: Throughput | None = None
    streams_ms: list[Amount] = field(default_factory=list)

    def __post_init__(self) -> None:
        if any(len(round_ms) != len(self.samples_ms[0]) for round_ms in self.samples_ms):
            raise ValueError("samples_ms should have the same number of times in each round")
        if self.ratio is not None and None in (self.ratio_low, self.ratio_high):
            raise ValueError("ratio should have the ends of its interval, ratio_low and ratio_high")


@dataclass(frozen=True)
class SessionRecord:
    """Rows that were timed side by side, and how.

    `baseline_key` is the speed key of the row that the ratios refer to. `busy_cores` says how many cores other programs
    kept busy meanwhile; it is None in old records. `host` is the machine, `device` its accelerator or processor, and
    `cores` the number of its usable cores; they are unknown in old records. `DEVICE_SEPARATOR` separates devices.
    """

    at: str
    effort: Effort
    isolation: str
    rounds: Count
    baseline_key: str | None
    rows: list[RowTiming]
    busy_cores: Amount | None = None
    host: str = ""
    device: str = ""
    cores: Count = 0
    __pydantic_config__: ClassVar = RECORD


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the adapter that reads and writes values of a type as JSON."""
    return _adapter(kind)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def as_json(record: object) -> dict[str, Any]:
    """Return a record as it is written to a line of a file."""
    content: dict[str, Any] = adapter(type(record)).dump_python(record, mode="json", by_alias=True, warnings="error")
    return content


def key_of(*parts: object) -> str:
    """Return the SHA-256 of anything that JSON can hold, as hexadecimal text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def now() -> str:
    """Return the time, in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
