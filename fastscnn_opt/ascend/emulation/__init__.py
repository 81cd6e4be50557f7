"""Rewrites a model into what an Ascend processor computes, as far as it is known, and runs that in ONNX Runtime."""
