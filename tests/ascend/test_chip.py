"""The limits of the chip, and what else relies on them."""

import pytest
from fastscnn_opt.passes.conv_before_concat import keeps_layout
from fastscnn_opt.passes.large_avgpool import LargeAvgPool
from fastscnn_opt.passes.resize_nearest import ResizeNearest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend import chip


@pytest.mark.parametrize(
    ("kernel", "strides", "obstacles"),
    [
        ([15, 17], [63, 63], []),
        ([16, 16], [1, 1], ["its kernel 16x16 has 256 elements (at most 255)"]),
        ([2, 2], [1, 64], ["its stride is 1x64 (at most 63)"]),
        ([32, 64], [64, 1], ["its kernel 32x64 has 2048 elements (at most 255)", "its stride is 64x1 (at most 63)"]),
        ([2, 2], [], []),
    ],
)
def test_average_pooling_leaves_the_ai_core_beyond_each_limit(kernel, strides, obstacles):
    assert chip.average_pool_obstacles(kernel, strides) == obstacles


@pytest.mark.parametrize(
    ("sides", "obstacle"), [((2048, 8), ""), ((8, 2049), "a side of 2049 is above 2048"), ((), "")]
)
def test_bilinear_resizing_leaves_the_ai_core_above_the_largest_side(sides, obstacle):
    assert chip.bilinear_obstacle(sides) == obstacle


@pytest.mark.parametrize(
    ("core_type", "expected"),
    [("AI_CORE", True), ("AI_VECTOR_CORE", True), ("MIX_AIC", True), ("AI_CPU", False), ("HCCL", False), ("", False)],
)
def test_the_ai_core_is_known_by_the_names_of_every_release(core_type, expected):
    assert chip.is_ai_core(core_type) is expected


@pytest.mark.parametrize(
    ("shape", "device"),
    [((1, 19, 64, 128), (1, 2, 64, 128, 16)), ((2, 16, 4, 4), (2, 1, 4, 4, 16)), ((1, 3, 8, 8), (1, 1, 8, 8, 16))],
)
def test_channels_fill_blocks_of_16(shape, device):
    assert chip.device_layout(shape) == device


@pytest.mark.parametrize(
    ("channels", "obstacle"),
    [
        ([16, 48], ""),
        ([4, 4, 4], ""),
        ([13, 3], ""),
        ([1, 1], "parts of 1 and 1 channels are not whole blocks of 16"),
        ([24, 24], "parts of 24 and 24 channels are not whole blocks of 16"),
        ([13, 3, 1], "parts of 13, 3 and 1 channels are not whole blocks of 16"),
    ],
)
def test_parts_of_whole_blocks_and_some_small_ones_are_joined_in_the_layout_of_the_device(channels, obstacle):
    assert chip.concat_obstacle(channels) == obstacle


@given(st.lists(st.integers(1, 8) | st.sampled_from([13, 16, 32, 40]), min_size=1, max_size=4))
def test_the_pass_that_avoids_other_parts_agrees_with_the_chip(channels):
    assert keeps_layout(channels) == (not chip.concat_obstacle(channels))


@pytest.mark.parametrize(
    ("soc_version", "devices"),
    [("Ascend310", 4), ("Ascend310P3", 1), ("Ascend710", 1), ("Ascend310B4", 1), ("Ascend910A", 1)],
)
def test_only_the_310_shares_its_card(soc_version, devices):
    assert chip.devices_per_card(soc_version) == devices


def test_the_stock_white_lists_hold_shapes_of_4_dimensions():
    assert {len(shape) for _, shape in chip.STOCK_SHAPES} == {4}


def test_the_pass_for_large_windows_starts_at_the_limits_of_the_chip():
    options = LargeAvgPool()
    assert (options.area, options.stride) == (chip.MOST_POOLED_ELEMENTS, chip.LARGEST_POOL_STRIDE)


def test_the_pass_for_nearest_neighbour_rounds_as_the_chip_does_with_align_corners():
    assert ResizeNearest().rounding.onnx == chip.resize_rounding("align_corners")
