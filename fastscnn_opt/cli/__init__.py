"""The command line: one module per verb, arguments and printing only."""

NOTES = "fastscnn_opt.notes"
"""Name of the logger whose level tells whether notes and progress are wanted: INFO, or ERROR with ``--quiet``."""
