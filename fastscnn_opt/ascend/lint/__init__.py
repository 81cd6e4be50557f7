"""Rules that find in an ONNX model what the Ascend 310 will run slowly, differently or not at all."""
