"""The registered rewrites, one per file."""
