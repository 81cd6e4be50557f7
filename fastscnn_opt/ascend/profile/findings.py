"""What in a profile of the Ascend 310 costs time that a pass, a patch or an option would save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.ascend.profile.base import Operator
from fastscnn_opt.ascend.profile.conversions import find_conversions
from fastscnn_opt.ascend.profile.finding import Finding, Rest
from fastscnn_opt.ascend.profile.off_core import find_off_core, is_resize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastscnn_opt.ascend.profile.base import Profile
    from fastscnn_opt.ascend.profile.conversions import Patches


def find(profile: Profile, patches: Patches) -> list[Finding]:
    """Return what costs time in a profile that need not be, the costliest first; no operator is in two findings.

    Layout conversions are counted with the operator that leaves the AI Core where they stand around one, which is
    told by the shapes they share with it, and otherwise with the input or output of the network.

    Parameters
    ----------
    profile
        As `read_profile` returns it. An op_statistic has no shapes, and its findings are as vague.
    patches
        The shapes that shipped patches list.
    """
    known = profile.operators or tuple(
        Operator("", item.op_type, item.core, item.executions, item.time_us) for item in profile.types
    )
    rest = Rest(known)
    found = [
        *find_off_core(rest),
        *find_conversions(rest, patches, profile.tables),
        *_resizes(rest),
        *_needless_pads(rest),
    ]
    return sorted(found, key=lambda finding: finding.time_us, reverse=True)


def _resizes(rest: Rest) -> Iterator[Finding]:
    resizes = rest.take(is_resize)
    if resizes:
        yield Finding(
            f"{len(resizes)} bilinear Resize",
            tuple(resizes),
            "the pass `resize-nearest` computes another function in less time; it cost the published FastSCNN 4 points "
            "of mIoU (64.46 to 60.41), so judge it with `fastscnn-opt score`",
            "resize-nearest",
        )


def _needless_pads(rest: Rest) -> Iterator[Finding]:
    pads = rest.take(
        lambda operator: (
            operator.op_type.startswith("Pad")
            and bool(operator.inputs and operator.outputs)
            and operator.inputs[0].shape is not None
            and operator.inputs[0].shape == operator.outputs[0].shape
        )
    )
    if pads:
        yield Finding(
            f"{len(pads)} Pad that pad nothing", tuple(pads), "remove them with the pass `simplify`", "simplify"
        )
