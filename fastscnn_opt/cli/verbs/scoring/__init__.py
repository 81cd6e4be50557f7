"""Verbs that score, compare and explain variants."""
