"""regroup: which dimensions a Reshape makes of products of sizes, and where that is open."""

import pytest
from fastscnn_opt.passes._sizes.dimensions import Dim, Extent, regroup

BATCH, CHANNELS = Dim.fixed(1), Dim.fixed(8)
HEIGHT, WIDTH = Dim((Extent(16, 8, "height"),)), Dim((Extent(32, 24, "width"),))
ROWS = Dim((*HEIGHT.extents, *WIDTH.extents))


@pytest.mark.parametrize(
    ("dims", "target", "after"),
    [
        ([BATCH, CHANNELS, HEIGHT, WIDTH], [1, 8, 512], [1, 8, 192]),
        ([BATCH, ROWS, CHANNELS], [1, 16, 32, 8], [1, 8, 24, 8]),
        ([BATCH, ROWS, CHANNELS], [1, 512, 2, 4], [1, 192, 2, 4]),
        ([BATCH, ROWS, CHANNELS], [512, 8], [192, 8]),
        ([CHANNELS, HEIGHT], [4, 32], [4, 16]),
        ([BATCH, HEIGHT], [16, 1, 1], [8, 1, 1]),
    ],
)
def test_sizes_are_joined_and_taken_apart_in_order(dims, target, after):
    groups = regroup(dims, target)
    assert [group.old for group in groups] == target
    assert [group.new for group in groups] == after


@pytest.mark.parametrize(
    ("dims", "target"),
    [
        pytest.param([HEIGHT], [4, 4], id="either part may be the one that changes"),
        pytest.param([ROWS], [32, 16], id="the order of the sides"),
        pytest.param([CHANNELS, HEIGHT], [16, 8], id="a part of the height beside the channels"),
        pytest.param([CHANNELS], [3, 3], id="another number of elements"),
    ],
)
def test_what_is_open_is_none(dims, target):
    assert regroup(dims, target) is None


def test_the_sides_are_kept_apart():
    assert (ROWS.side, ROWS.sides) == (None, {"height", "width"})
    assert HEIGHT.resized(4, 2).side == "height"
