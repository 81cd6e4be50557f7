"""Accuracy and latency of a session."""
