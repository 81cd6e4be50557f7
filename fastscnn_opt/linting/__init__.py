"""What the lint rules of all targets share: the graph that they check, their findings, and the pipeline that cures."""
