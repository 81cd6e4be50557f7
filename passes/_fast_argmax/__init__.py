"""The label map of a bilinear Resize, interpolated only where the label is not certain."""
