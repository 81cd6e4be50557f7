"""The ranges of tensors on sample images."""

import numpy as np
import pytest
from graphs import add_initializers, parse, run
from quantised import quantisation, scenes, tap

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.graph.importing import import_model
from fastscnn_opt.rewriting.manager import PassManager


def test_scales_follow_from_the_smallest_and_largest_value(network, rewrite):
    model = rewrite(network, "int8{images=3 equalise=false}").model
    for layer, tensor in (("stem", "image"), ("deep", "b"), ("point", "d"), ("out", "f")):
        values = scenes(3) if tensor == "image" else [run(tap(network, tensor), image)[0] for image in scenes(3)]
        low, high = min(0, np.min(values)), max(0, np.max(values))
        scale, zero = quantisation(model, layer)
        assert scale == pytest.approx((high - low) / 255, rel=1e-5)
        assert zero == round(-low / scale)
        assert zero.dtype == np.uint8


@pytest.mark.parametrize("activation", ["d = LeakyRelu<alpha=0.5>(c)", "d = Identity(c)"])
def test_channels_are_measured_by_magnitude_whatever_their_sign(activation):
    from fastscnn_opt.passes._int8.calibration import channel_maxima
    from fastscnn_opt.passes._int8.images import CalibrationImages

    model = parse(f"""
        g (float[1,3,64,128] image) => (float[1,3,64,128] d)
        <float[3,3,1,1] w = {{1, 0, 0, 0, 1, 0, 0, 0, 1}}, float[3] b = {{-20, 0, 20}}>
        {{ c = Conv(image, w, b) {activation} }}
    """)
    images = CalibrationImages(DataSource(synthetic=2, seed=0), import_model(model, {})[0])
    values = np.concatenate([run(model, image)[0] for image in scenes(2)])
    assert values[:, 0].max() < 0
    np.testing.assert_allclose(channel_maxima(model, ["d"], images)["d"], np.abs(values).max(axis=(0, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_other_methods_leave_out_rare_values(network, rewrite, capsys, method):
    widest, narrower = (
        quantisation(rewrite(network, f"int8{{images=2 equalise=false method={name}}}").model, "out")[0]
        for name in ("minmax", method)
    )
    assert 0.2 * widest < narrower < widest
    assert capsys.readouterr().out == ""


def test_a_layer_that_cannot_be_run_is_told_once_without_a_cure_for_something_else(capfd):
    import onnxruntime

    onnxruntime.set_default_logger_severity(2)  # which other tests have changed
    model = parse("""
        g (float[1,3,8,8] x) => (float[1,4,8,8] y) <int64[3] far = {0, 1, 9}> {
            beyond = Gather<axis=1>(x, far)
            y = Conv(beyond, w)
        }
    """)
    add_initializers(model, w=np.ones((4, 3, 1, 1), np.float32))
    with pytest.raises(PassError, match=r"with method=minmax: (?!.*leaves layers)"):
        PassManager("int8{images=1}").run(model)
    assert capfd.readouterr().err == ""


def test_what_was_measured_is_not_measured_again(network, rewrite, monkeypatch):
    from onnxruntime.quantization import calibrate

    first = rewrite(network, "int8{images=2}").model.SerializeToString()
    monkeypatch.delattr(calibrate, "create_calibrator")
    assert rewrite(network, "int8{images=2}").model.SerializeToString() == first
