"""Descriptions of well-known datasets, one TOML file each."""
