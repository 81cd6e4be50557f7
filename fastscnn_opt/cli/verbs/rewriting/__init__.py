"""Verbs that read and rewrite models."""
