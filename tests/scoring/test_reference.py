"""The published figures as data."""

import pytest

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.reference import ReferenceRow, read_reference, reference_names

PUBLISHED = {
    ("paper", "Titan Xp", None): (None, 68.0, 123.5),
    ("PyTorch checkpoint of the recipe", "PyTorch", None): (93.877, 64.46, None),
    ("white lists patched", "ascend310", 1): (None, 64.46, 4.135),
    ("white lists patched", "ascend310", 2): (None, 64.46, 6.265),
    ("output node fp16", "ascend310", 1): (94.29, 64.43, 22.518),
    ("output node fp16", "ascend310", 2): (94.29, 64.43, 22.694),
    ("Resize nearest", "ascend310", 1): (None, 60.41, 7.747),
    ("Resize nearest", "ascend310", 2): (None, 60.41, 14.046),
    ("output node fp16, benchmark tool", "ascend310", 1): (None, None, 22.286),
    ("output node fp16, benchmark tool", "ascend310", 4): (None, None, 22.371),
    ("later edition, CANN 6.0.RC1, float32 output", "ascend310", 1): (None, None, 10.2118),
    ("later edition, CANN 6.0.RC1, float32 output", "ascend310", 4): (None, None, 12.8757),
    ("later edition, CANN 6.0.RC1, float32 output", "ascend310p", 1): (None, None, 39.1736),
    ("later edition, CANN 6.0.RC1, float32 output", "ascend310p", 4): (None, None, 32.7321),
    ("later edition, CANN 6.0.RC1, float32 output", "ascend310p", 8): (None, None, 37.6047),
    ("TensorRT 7.2, fp16", "T4", 1): (None, None, 162.068),
    ("TensorRT 7.2, fp16", "T4", 4): (None, None, 166.46),
    ("mmdeploy, fp32, 512x1024", "T4", None): (None, 70.93, None),
    ("mmdeploy, fp16, 512x1024", "T4", None): (None, 70.92, None),
    ("mmdeploy, int8, 512x1024", "T4", None): (None, 66.0, None),
}


def test_the_figures_are_those_that_were_published():
    rows = read_reference("fastscnn-ascend310").row
    assert {(row.variant, row.target, row.batch): (row.pixAcc, row.mIoU, row.fps) for row in rows} == PUBLISHED


def test_images_per_second_on_the_t4_follow_from_the_latency():
    rows = [row for row in read_reference("fastscnn-ascend310").row if row.mean_ms]
    assert len(rows) == 2
    for row in rows:
        assert row.fps == pytest.approx(1000 * row.batch / row.mean_ms, abs=5e-3)


def test_shares_are_fractions_in_json():
    row = ReferenceRow(variant="a", target="b", mIoU=64.46).to_json()
    assert row["mIoU"] == pytest.approx(0.6446)
    assert row["pixAcc"] is None


def test_every_reference_can_be_read():
    assert all(read_reference(name).row for name in reference_names())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(RunError, match="did you mean 'fastscnn-ascend310'"):
        read_reference("fastscnn-ascend")
