"""The difference in time of two models on the Ascend 310, where published figures and one measurement tell it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.ascend.chip import CANN_VERSION, TO_NCHW
from fastscnn_opt.ascend.lint.order import work_of
from fastscnn_opt.ascend.reports import read_reports
from fastscnn_opt.errors import DataError, TargetError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from pathlib import Path

    from fastscnn_opt.ascend.lint.graph import AscendGraph
    from fastscnn_opt.ascend.lint.order import Boundary

LOGITS = (1, 19, 1024, 2048)
"""The only shape whose conversion to N, C, H, W was published."""

CONVERSION_MS = {"float32": 558.2315, "listed": 272.4304, "float16": 5.4832}
"""Time of TransData to `LOGITS` by element type, and in float32 with the shape on the white list.

From the published profile of a sibling network with this output (AI Core time, one device, CANN 5.0.2).
"""

SOURCE = (
    f"the published profile of a sibling network, Ascend 310, CANN {CANN_VERSION}; between the recipe's rows of "
    "batch 1 (4.135 and 22.518 fps) it says 800.8 ms where 789.7 ms were measured"
)


@dataclass(frozen=True)
class Difference:
    """How much less time than the measured model another one takes in a run, in ms.

    Where that is not known, `saved_ms` and `source` are None, and `refused` is the reason.
    """

    model: str
    saved_ms: float | None
    measured_ms: float
    refused: str | None = None
    source: str | None = SOURCE

    def to_json(self) -> dict[str, Any]:
        """Return the difference as `lint` prints it."""
        return asdict(self)


def differences(graphs: Mapping[str, AscendGraph], report: Path) -> list[Difference]:
    """Return the difference between the first model, whose run is in `report`, and each of the others, by their names.

    Raises
    ------
    DataError
        The report cannot be read, or holds more than one run.
    """
    found = read_reports(report)
    if len(found) > 1:
        raise DataError(f"holds {len(found)} reports", where=report, cure="give a file with the report of one run")
    measured_ms = found[0].mean_ms or 1000 * found[0].batch / found[0].fps_per_device
    first, *others = graphs
    rows = []
    for name in others:
        try:
            rows.append(difference(graphs[first], graphs[name], name, measured_ms))
        except TargetError as error:
            rows.append(Difference(name, None, measured_ms, str(error), None))
    return rows


def difference(measured: AscendGraph, other: AscendGraph, model: str, measured_ms: float) -> Difference:
    """Return how much less time `other` takes than `measured`, of which a run takes `measured_ms`.

    It is known in one case only: the models differ in the types, or by whole copies, of outputs of shape `LOGITS`.

    Raises
    ------
    TargetError
        In every other case; the message says what is not known.
    """
    if measured.cann != CANN_VERSION:
        raise _unknown(f"the published times are of CANN {CANN_VERSION}, not {measured.cann}")
    one, two = work_of(measured), work_of(other)
    if (one.inputs, one.on_core, one.off_core) != (two.inputs, two.on_core, two.off_core):
        raise _unknown("the models differ in more than their outputs, and no time of an operator is published for it")
    changed = (one.outputs - two.outputs) + (two.outputs - one.outputs)
    strange = [shape for shape, dtype in changed if shape != LOGITS or dtype not in ("float32", "float16")]
    if strange or not changed:
        lengths = "x".join(map(str, LOGITS))
        raise _unknown(f"only float32 and float16 outputs of {lengths} have published times")
    if measured.listed != other.listed:
        raise _unknown("the white lists are not the same")
    saved_ms = _conversions_ms(one.outputs, measured) - _conversions_ms(two.outputs, other)
    if saved_ms >= measured_ms:
        raise _unknown(f"the measured {measured_ms:.1f} ms are less than the {saved_ms:.1f} ms that would be saved")
    return Difference(model, saved_ms, measured_ms)


def _conversions_ms(outputs: Counter[Boundary], graph: AscendGraph) -> float:
    listed = (TO_NCHW, LOGITS) in graph.listed
    return sum(
        count * CONVERSION_MS["listed" if listed and dtype == "float32" else dtype]
        for (shape, dtype), count in outputs.items()
        if shape == LOGITS
    )


def _unknown(why: str) -> TargetError:
    return TargetError(f"the difference in time is not known: {why}", cure="measure both models")
