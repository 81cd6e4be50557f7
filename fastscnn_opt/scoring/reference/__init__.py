"""Published figures to set one's own beside, as TOML files in this folder."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fastscnn_opt.errors import RunError
from fastscnn_opt.schema import Strict
from fastscnn_opt.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

Percent = Annotated[float, Field(ge=0, le=100)]


class ReferenceRow(Strict):
    """One published row; what was not published is None.

    Shares are in percent. `fps` is that of a whole card, unless the note says that this was not stated.
    """

    variant: str
    target: str
    batch: Annotated[int, Field(ge=1)] | None = None
    data: str = "val set"
    pixAcc: Percent | None = None  # noqa: N815 - the name it has in every table
    mIoU: Percent | None = None  # noqa: N815 - the name it has in every table
    mean_ms: float | None = None
    fps: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row with the keys of a variant table, shares as fractions."""
        shares = {name: None if (value := getattr(self, name)) is None else value / 100 for name in ("pixAcc", "mIoU")}
        return {**self.model_dump(), **shares}


class Reference(Strict):
    """A table of published rows; `gate` is the points of mIoU that its authors allow a deployed model to lose."""

    title: str
    gate: float | None = None
    row: tuple[ReferenceRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the table as `compare` prints it below that of a run."""
        return {"title": self.title, "gate": self.gate, "rows": [row.to_json() for row in self.row]}


def reference_names() -> tuple[str, ...]:
    """Return the names that `read_reference` takes."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _files()))


def read_reference(name: str) -> Reference:
    """Return the table of that name. Raises RunError, with the nearest name, if there is none."""
    known = reference_names()
    if name not in known:
        raise RunError(f"there is no reference {name!r}", cure=nearest(name, known))
    text = next(file for file in _files() if file.name == f"{name}.toml").read_text(encoding="utf-8")
    return Reference.model_validate(tomllib.loads(text))


def _files() -> Iterator[Traversable]:
    return (file for file in resources.files(__package__).iterdir() if file.name.endswith(".toml"))
