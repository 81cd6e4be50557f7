"""Explores pipelines for accuracy and speed."""
