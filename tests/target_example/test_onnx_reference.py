import numpy as np
import onnx

from fastscnn_opt import get_target, save_model

MODEL = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
    g (float[2] x) => (float[2] y) { y = Relu(x) }""")


def test_it_computes_what_the_model_says(tmp_path):
    save_model(MODEL, tmp_path / "m.onnx")
    target = get_target("onnx-reference")
    target.compile(tmp_path / "m.onnx", tmp_path / "a.onnx", tmp_path / "log")
    session = target.open(tmp_path / "a.onnx")
    assert session.run({"x": np.array([-1, 2], np.float32)})["y"].tolist() == [0, 2]
    assert len(session.timer({"x": np.zeros(2, np.float32)})(3)) == 3
    session.close()
