"""Find what costs time in a profile of the Ascend 310 that a pass, a patch or an option would save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.ascend.profile.conversions import find_conversions
from fastscnn_opt.ascend.profile.hotspot import Hotspot, UnassignedOperators
from fastscnn_opt.ascend.profile.off_core import find_off_core, is_resize
from fastscnn_opt.ascend.profile.profile import Operator
from fastscnn_opt.ascend.profile.reading import find_tables, read_profile
from fastscnn_opt.ascend.whitelists.patchfile import shipped_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from fastscnn_opt.ascend.chip import ListedShape
    from fastscnn_opt.ascend.profile.profile import Profile


def profile_tables(places: Iterable[Path]) -> tuple[Profile, list[Hotspot]]:
    """Return the profile that tables of the profiler hold, and its hotspots, with the shipped patches that help.

    `places` are files and folders, as `find_tables` takes them.

    Raises
    ------
    DataError
        As `find_tables` and `read_profile`.
    """
    profile = read_profile(find_tables(places))
    return profile, find_hotspots(profile, shipped_shapes())


def find_hotspots(profile: Profile, patches: Mapping[ListedShape, str]) -> list[Hotspot]:
    """Return the avoidable costs in a profile, the costliest first; no operator is in two hotspots.

    Layout conversions around an operator that leaves the AI Core are counted with it; they have the same shapes.
    All others are counted with the input or output of the network.

    Parameters
    ----------
    profile
        As `read_profile` returns it. An op_statistic has no shapes, so its hotspots are vague.
    patches
        What shipped patches put on white lists, with the names of the patches.
    """
    known = profile.operators or tuple(
        Operator("", item.op_type, item.core, item.executions, item.time_us) for item in profile.types
    )
    unassigned = UnassignedOperators(known)
    found = [
        *find_off_core(unassigned),
        *find_conversions(unassigned, patches, profile.tables),
        *_resizes(unassigned),
        *_needless_pads(unassigned),
    ]
    return sorted(found, key=lambda hotspot: hotspot.time_us, reverse=True)


def _resizes(unassigned: UnassignedOperators) -> Iterator[Hotspot]:
    resizes = unassigned.take(is_resize)
    if resizes:
        yield Hotspot(
            f"{len(resizes)} bilinear Resize",
            tuple(resizes),
            "the pass `resize-nearest` computes another function in less time; it cost the published FastSCNN 4 points "
            "of mIoU (64.46 to 60.41), so judge it with `fastscnn-opt score`",
            "resize-nearest",
        )


def _needless_pads(unassigned: UnassignedOperators) -> Iterator[Hotspot]:
    pads = unassigned.take(
        lambda operator: (
            operator.op_type.startswith("Pad")
            and bool(operator.inputs and operator.outputs)
            and operator.inputs[0].shape is not None
            and operator.inputs[0].shape == operator.outputs[0].shape
        )
    )
    if pads:
        yield Hotspot(
            f"{len(pads)} Pad that pad nothing", tuple(pads), "remove them with the pass `simplify`", "simplify"
        )
