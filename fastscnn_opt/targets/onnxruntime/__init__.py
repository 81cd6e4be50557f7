"""The ONNX Runtime targets and their profile."""
