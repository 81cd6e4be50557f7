"""Tiny models and passes that many tests share."""

import tempfile
from pathlib import Path

import onnx
import pytest

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def temporary_files(tmp_path, monkeypatch) -> None:
    """Keep what the code under test leaves in the temporary folder, such as reproducers, in the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def real_data() -> Path:
    """The folder with real weights and images, which only some machines have."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real weights and images are not on this machine")
    return SHARED_DATA


@pytest.fixture
def tiny_model() -> onnx.ModelProto:
    """A segmentation network in small: a 1x1 convolution on an image 1x3x16x32, then two bilinear Resize nodes."""
    return onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 13]>
        tiny (float[1,3,16,32] image) => (float[1,3,16,32] output1)
        <float[3,3,1,1] w = {1, 0.5, 0, 0, 1, -0.25, 0.125, 0, 1},
         float[4] half = {1, 1, 0.5, 0.5}, float[4] twice = {1, 1, 2, 2}>
        {
            [conv] a = Conv(image, w)
            [relu] r = Relu(a)
            [shrink] s = Resize<mode="linear", coordinate_transformation_mode="align_corners">(r, , half)
            [enlarge] output1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(s, , twice)
        }
    """)
