"""The label map of a bilinear Resize, interpolated only where the answer is in doubt."""
