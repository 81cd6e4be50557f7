"""Devices per card."""

import pytest

from fastscnn_opt.ascend.soc import devices_per_card


@pytest.mark.parametrize(
    ("soc_version", "devices"),
    [("Ascend310", 4), ("Ascend310P3", 1), ("Ascend710", 1), ("Ascend310B4", 1), ("Ascend910A", 1)],
)
def test_only_a_310_card_has_several_devices(soc_version, devices):
    assert devices_per_card(soc_version) == devices
