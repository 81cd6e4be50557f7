"""What a run folder holds, and questions about it: which record and which timing belong to a row, and the table."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.records import Status
from fastscnn_opt.scoring.tables.hosts import Place, place_caveat
from fastscnn_opt.scoring.tables.row import TableRow, can_be_baseline, table_row
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.scoring.description import RunDescription
    from fastscnn_opt.scoring.records import (
        AccuracyFigures,
        CompiledRecord,
        RowPlan,
        RowRecord,
        RowTiming,
        SessionRecord,
    )


@dataclass(frozen=True)
class Baseline:
    """The variant that rows are compared with, on the target of the row, or on `target` for all rows."""

    variant: str
    target: str | None = None

    def is_row(self, plan: RowPlan) -> bool:
        """Tell whether a row is one of the baseline's."""
        return plan.variant == self.variant and self.target in (None, plan.target)


@dataclass
class Run:
    """The content of a run folder; `description` is that of ``run.json``, `damaged` says which lines were left out."""

    folder: Path
    description: RunDescription
    records: list[RowRecord]
    sessions: list[SessionRecord]
    compiled: list[CompiledRecord] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def plan(self) -> tuple[RowPlan, ...]:
        """The rows that the variants file asks for, in its order."""
        return self.description.rows

    @property
    def baseline(self) -> Baseline:
        """What the rows are compared with."""
        return Baseline(self.description.baseline, self.description.baseline_target)

    @property
    def table(self) -> list[TableRow]:
        """The variant table: a row for everything that the variants file asks for, scored or not, in its order."""
        rows = []
        for plan in self.plan:
            record, reference = self.record_of(plan), self.reference_of(plan)
            rows.append(
                table_row(
                    plan,
                    record,
                    *self.timed(record),
                    reference=reference.mIoU if reference else None,
                    max_drop=self.description.max_drop,
                )
            )
        return rows

    @property
    def places(self) -> dict[tuple[str, str, int], Place]:
        """Where each row that has a speed was timed, by its identity; old records do not say so."""
        found = {plan.identity: self.timed(self.record_of(plan)) for plan in self.plan}
        return {
            identity: Place.of(session)
            for identity, (timing, session) in found.items()
            if timing and timing.status is Status.OK and session and session.host
        }

    def check_whole(self) -> None:
        """Raise RunError if damaged lines were left out."""
        if self.damaged:
            cure = "start the command that made the run again, which measures anew what is missing"
            raise RunError("; ".join(self.damaged), cure=cure)

    def to_json(self) -> dict[str, Any]:
        """Return the table as the verbs print it."""
        return {"baseline": self.description.baseline, "rows": [row.to_json() for row in self.table]}

    def to_pandas(self) -> Any:
        """Return the table as a pandas DataFrame: the rows of `table`, with the names of their fields as columns.

        Raises
        ------
        RunError
            pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise RunError("pandas is not installed", cure="pip install pandas") from error
        return DataFrame([vars(row) for row in self.table], columns=[field.name for field in fields(TableRow)])

    def last(self, identity: tuple[str, str, int]) -> RowRecord | None:
        """Return what was recorded last about a row."""
        return next((record for record in reversed(self.records) if record.identity == identity), None)

    def last_compiled(self, plan: RowPlan) -> CompiledRecord | None:
        """Return what was compiled last for exactly this row, if its artefact is there."""
        for record in reversed(self.compiled):
            if record.identity == plan.identity:
                same = record.matches(plan) and record.source == self.description.model.key
                return record if same and (self.folder / record.artefact).is_file() else None
        return None

    def record_of(self, plan: RowPlan) -> RowRecord | None:
        """Return what was recorded about a row, unless its variant, the model or the data have changed since."""
        record = self.last(plan.identity)
        if record is None or not record.matches(plan):
            return None
        same = (record.source, record.data) == (self.description.model.key, self.description.data.key)
        return record if same else None

    def timed(self, record: RowRecord | None) -> tuple[RowTiming, SessionRecord] | tuple[None, None]:
        """Return the last timing of a row's present content, and its session."""
        if record is None or record.status is not Status.OK:
            return None, None
        timings = ((timing, session) for session in reversed(self.sessions) for timing in session.rows)
        wanted = (record.identity, record.keys.speed)
        return next((found for found in timings if (found[0].identity, found[0].speed_key) == wanted), (None, None))

    def reference_of(self, plan: RowPlan) -> AccuracyFigures | None:
        """Return the accuracy of a row's baseline: on its target where it was scored there, else on its first one.

        See `can_be_baseline`.
        """
        target = self.baseline.target or plan.target
        candidates = [other for other in self.plan if other.variant == self.baseline.variant]
        candidates.sort(key=lambda other: other.target != target)
        records = map(self.record_of, (plan, *candidates))
        own, *others = (record.accuracy if record else None for record in records)
        emulated = own.emulated if own else None
        return next((other for other in others if other and can_be_baseline(other.emulated, emulated)), None)

    def _repr_html_(self) -> str:
        """Show the variant table in a notebook."""
        from fastscnn_opt.html import html_table
        from fastscnn_opt.scoring.tables.rendering import ONE_RUN, as_asked, cells

        title = "; ".join(filter(None, (f"{self.folder}: {self.description.data.words}", place_caveat(self.places))))
        rows = [[printable(cell) for cell in cells(row)] for row in self.table]
        return html_table(*as_asked(ONE_RUN, rows), printable(title))
