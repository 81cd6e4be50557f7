"""The bridge between ONNX files and onnx-graphsurgeon."""
