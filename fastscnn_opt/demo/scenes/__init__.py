"""Deterministic synthetic street scenes with exact labels for the 19 Cityscapes classes."""

from fastscnn_opt.demo.scenes.composition import render_scene

__all__ = ["render_scene"]
