"""ONNX models: load, check, save, weights that stay in their files, sample inputs."""
