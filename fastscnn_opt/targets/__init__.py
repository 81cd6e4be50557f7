"""Engines and vendor tools that compile a model and run it."""
