"""Rules that find in an ONNX model what ONNX Runtime refuses on a CPU, or computes slower than need be."""
