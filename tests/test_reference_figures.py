"""On real weights and images, the way from checkpoint to mIoU gives figures measured by independent means.

The figures are pixel accuracy and the mean IoU over all 19 classes, with an absent class counted as 0.
"""

import json
from dataclasses import replace

import pytest

from fastscnn_opt.cli.main import run
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.scoring.one_model import evaluate

CASES = {
    "exact pooling": ("adaptive-avgpool", 0.9596, 0.5472),
    "AveragePool": ("adaptive-avgpool{lower=avgpool}", 0.9596, 0.5467),
    "all nearest, half up": ("adaptive-avgpool{lower=avgpool},resize-nearest", 0.9469, 0.5161),
    "last nearest, half up": ("adaptive-avgpool{lower=avgpool},resize-nearest{only=head}", 0.9557, 0.5338),
    "all nearest, floor": ("adaptive-avgpool{lower=avgpool},resize-nearest{rounding=floor}", 0.6752, 0.2831),
}


@pytest.fixture(scope="module")
def exported(real_data, tmp_path_factory):
    """The model of the real weights, exported once for all cases."""
    checkpoint = real_data / "weights" / "fast_scnn_tramac_layout.pth"
    pytest.importorskip("torch", reason="reading a checkpoint needs torch")
    model = tmp_path_factory.mktemp("exported") / "exported.onnx"
    assert run(["export", str(checkpoint), "-o", str(model), "--pooling", "keep"]) == 0
    return model


def test_the_device_rounds_where_the_file_says_floor(exported, real_data, tmp_path):
    """The recipe's rows of nearest neighbour say floor; the emulated device gets what rounding half up gets."""

    def figures(rounding, target):
        rewritten = tmp_path / f"{rounding}.onnx"
        passes = f"adaptive-avgpool{{lower=avgpool}},resize-nearest{{rounding={rounding}}}"
        save_model(PassManager(passes, verify=False).run(load_model(exported)).model, rewritten)
        return evaluate(rewritten, replace(DataSource.at(real_data / "cityscapes"), limit=1), target).accuracy

    emulated, rounded = figures("floor", "ascend310-emulated"), figures("half-up", "onnxruntime")
    assert (emulated.emulated, rounded.emulated) == (True, False)
    assert emulated.mIoU == pytest.approx(rounded.mIoU, abs=0.001)


@pytest.mark.parametrize("case", list(CASES))
def test_export_apply_eval_gives_the_reference_figures(case, exported, real_data, tmp_path, capsys):
    passes, pixel_accuracy, mean_iou = CASES[case]
    rewritten = str(tmp_path / "rewritten.onnx")
    assert run(["apply", str(exported), "--passes", passes, "-o", rewritten]) == 0
    capsys.readouterr()
    assert run(["eval", rewritten, "--data", str(real_data / "cityscapes"), "--format", "json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["images"] == 8
    assert scored["pixAcc"] == pytest.approx(pixel_accuracy, abs=0.0005)
    assert scored["mIoU_all"] == pytest.approx(mean_iou, abs=0.002)
