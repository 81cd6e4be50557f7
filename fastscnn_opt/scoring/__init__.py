"""Accuracy, speed, and the variant table made of both."""
