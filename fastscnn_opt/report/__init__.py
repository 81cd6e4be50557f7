"""The report: one page that shows a run, or what changed between two, and opens from the disk."""
