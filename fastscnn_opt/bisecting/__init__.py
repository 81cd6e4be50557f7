"""Finds the pass of a pipeline, and its changes, that cost too much accuracy."""
