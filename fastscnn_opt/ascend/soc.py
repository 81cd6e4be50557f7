"""The names of the Ascend processors (soc versions), and how many of them share a card."""

from __future__ import annotations

from typing import Annotated

from fastscnn_opt.targets.options import written

_NAMES = "Ascend310, Ascend310P3, Ascend710, Ascend310B4, or Ascend910 with a letter such as A"

SocVersion = Annotated[str, written(r"Ascend(310(P\d?|B\d?)?|710|910\w*)", _NAMES)]
"""A name that atc takes: Ascend310, Ascend310P3 (formerly Ascend710), Ascend310B4, or one of the many Ascend910."""

_DEVICES_ON_A_310_CARD = 4


def devices_per_card(soc_version: str) -> int:
    """Return how many devices share a card: 4 on an Atlas 300 with the Ascend 310, 1 with any other processor.

    The vendor's tools report the throughput of one device; a card delivers that many times as much.
    """
    return _DEVICES_ON_A_310_CARD if soc_version == "Ascend310" else 1
