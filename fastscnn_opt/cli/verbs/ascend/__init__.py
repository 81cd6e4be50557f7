"""Verbs for vendor compilers and devices."""
