"""Numbers and speeds in what a vendor's tool has printed or written, read strictly."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from fastscnn_opt.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
"""A finite number above 0 in a JSON file."""


@dataclass(frozen=True)
class Speed:
    """The speed of a model in a report.

    Attributes
    ----------
    mean_ms
        Mean time of a run; None if the tool reports its throughput only.
    fps
        Images per second, of all `devices` together.
    batch
        Images per run.
    notes
        Figures in the report that cannot all be true, and lines in it that are not understood.
    part
        Which part of the text it is from, where the text says so, such as the device.
    devices
        How many devices the figures are of, together.
    """

    mean_ms: float | None
    fps: float
    batch: int
    notes: tuple[str, ...] = ()
    part: str = ""
    devices: int = 1


@dataclass(frozen=True)
class ReportFormat:
    """The form of the reports of one tool on the speed of a model.

    Attributes
    ----------
    tool
        Name of the tool and, where it writes several reports, of the report.
    mark
        Pattern of what only reports of this tool contain.
    read
        Reads the speed from each report in a text, given the name of its file, and the images per run where the
        caller knows them. Raises TargetError or DataError.
    """

    tool: str
    mark: str
    read: Callable[[str, str, int | None], list[Speed]]


def number(text: str) -> float:
    """Parse a text that is one finite decimal number and nothing else.

    Raises
    ------
    ValueError
        It is something else, also what Python takes for a number: ``1_000``, ``nan``, digits of other scripts.
    """
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def positive(text: str, what: str, tool: str) -> float:
    """Parse a text that is one number above 0. Raises TargetError, which calls the number `what`, for any other."""
    try:
        value = number(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise TargetError(f"{what} is {text!r}, not a number above 0", where=tool, cure="look into its log")
    return value


def numbers(text: str) -> NDArray[np.float64]:
    """Parse decimal numbers, ``nan`` and ``inf`` that are separated by commas.

    A text may hold tens of millions of values, so none of them becomes a Python object.

    Raises
    ------
    ValueError
        Something else is among them or behind them.
    """
    if not text.strip():  # numpy makes -1 of blanks
        return np.zeros(0)
    if text.rstrip().endswith(","):
        raise ValueError("a number is missing behind the last comma")
    with warnings.catch_warnings():
        # Older releases of numpy only warn where they stop at something else, and return the values before it.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text, dtype=np.float64, sep=",")
        except DeprecationWarning as error:
            raise ValueError(str(error)) from error
