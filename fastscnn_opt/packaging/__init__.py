"""Packages: a model with all that is needed to use it elsewhere."""
