"""The stages of the work on rows: building and timing, and what runs in their child processes."""
