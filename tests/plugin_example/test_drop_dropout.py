import onnx

from fastscnn_opt import PassManager, diff_models

MODEL = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 13]>
    g (float[2] x) => (float[2] y) { [drop] d = Dropout(x) [relu] y = Relu(d) }""")


def test_dropout_is_removed():
    result = PassManager("drop-dropout").run(MODEL)
    assert result.steps[0].verified
    assert [item.name for item in diff_models(MODEL, result.model).nodes.removed] == ["drop"]
