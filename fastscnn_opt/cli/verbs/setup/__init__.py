"""Verbs for the installation, the demo and its data."""
