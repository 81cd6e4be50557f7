"""A small network with everything that the demo variants change."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

HEIGHT, WIDTH = 32, 64


def segmenter() -> onnx.ModelProto:
    """Three heads, an adaptive pooling that no average pooling equals, and bilinear Resize nodes."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 13]>
        net (float[1,3,{HEIGHT},{WIDTH}] image)
            => (float[1,19,{HEIGHT},{WIDTH}] output1, float[1,19,{HEIGHT},{WIDTH}] output2,
            float[1,19,{HEIGHT},{WIDTH}] output3)
        <float[4] twice = {{1, 1, 2, 2}}, float[4] up = {{1, 1, 5.333334, 10.666667}}>
        {{
            [shrink] small = Conv<strides = [2, 2], kernel_shape = [2, 2]>(image, first)
            [pool] pooled = AdaptiveAvgPool2d<output_size = [3, 3]>(small)
            [unpool] spread = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(pooled, , up)
            [join] joined = Add(small, spread)
            [relu] active = Relu(joined)
            [classify] scores = Conv(active, second)
            [head] output1 = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(scores, , twice)
            [head2] output2 = Conv(image, aux)
            [head3] output3 = Neg(output2)
        }}
    """)
    rng = np.random.default_rng(7)
    for name, shape in {"first": (8, 3, 2, 2), "second": (19, 8, 1, 1), "aux": (19, 3, 1, 1)}.items():
        weights = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
    return model


@pytest.fixture
def network() -> onnx.ModelProto:
    """See `segmenter`."""
    return segmenter()
