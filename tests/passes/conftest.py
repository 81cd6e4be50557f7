"""Small graphs, and functions to rewrite and run them, for the tests of the passes."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from fastscnn_opt.model.runnable import runnable
from fastscnn_opt.rewriting.manager import PassManager, Result

Rewrite = Callable[[onnx.ModelProto, str], Result]
Run = Callable[..., list[np.ndarray]]


@pytest.fixture
def rewrite() -> Rewrite:
    """Run a pipeline, its contracts verified, and check that a second run changes nothing."""

    def apply(model: onnx.ModelProto, text: str) -> Result:
        result = PassManager(text).run(model)
        again = PassManager(text).run(result.model)
        assert [change for step in again.steps for change in step.changes] == []
        return result

    return apply


@pytest.fixture
def run() -> Run:
    """Run a model in onnxruntime on inputs in the order of the graph and return the outputs in order."""

    def execute(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
        import onnxruntime as ort

        session = ort.InferenceSession(runnable(model).SerializeToString(), providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        return session.run(None, dict(zip(names, inputs, strict=True)))

    return execute


@pytest.fixture
def image() -> Callable[..., np.ndarray]:
    """Make random input of a shape."""

    def make(*shape: int, dtype: type = np.float32) -> np.ndarray:
        return np.random.default_rng(7).standard_normal(shape).astype(dtype)

    return make


@pytest.fixture
def parse() -> Callable[..., onnx.ModelProto]:
    """Read the body of a graph in ONNX's text form."""

    def read(text: str, opset: int = 13) -> onnx.ModelProto:
        return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}, "vendor" : 1]> {text}')

    return read


@pytest.fixture
def segmenter() -> onnx.ModelProto:
    """FastSCNN in small: convolutions, a pyramid of two adaptive poolings, a main and an auxiliary head."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 13, "vendor" : 1]>
        small (float[1,3,32,64] image) => (float[1,5,32,64] output1, float[1,5,32,64] output2)
        <int64[4] inner = {1, 4, 8, 16}, int64[4] outer = {1, 5, 32, 64}>
        {
            [stem] c = Conv<strides=[4,4], kernel_shape=[4,4]>(image, w_stem, b_stem)
            [stem_norm] n = BatchNormalization(c, scale, shift, mean, variance)
            [stem_relu] x = Relu(n)
            [pool1] p1 = vendor.AdaptiveAvgPool2d<output_size=[1,1]>(x)
            [bin1] q1 = Conv(p1, w_bin)
            [up1] u1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(q1, , , inner)
            [pool3] p3 = vendor.AdaptiveAvgPool2d<output_size=[3,3]>(x)
            [bin3] q3 = Conv(p3, w_bin)
            [up3] u3 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(q3, , , inner)
            [join] y = Concat<axis=1>(x, u1, u3)
            [main] z = Conv(y, w_main)
            [main_up] output1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(z, , , outer)
            [aux] a = Conv(x, w_aux)
            [aux_up] output2 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(a, , , outer)
        }
    """)
    rng = np.random.default_rng(3)
    shapes = {
        "w_stem": (8, 3, 4, 4),
        "b_stem": (8,),
        "scale": (8,),
        "shift": (8,),
        "mean": (8,),
        "w_bin": (4, 8, 1, 1),
        "w_main": (5, 16, 1, 1),
        "w_aux": (5, 8, 1, 1),
    }
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    weights["variance"] = rng.uniform(0.5, 2, 8).astype(np.float32)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return model
