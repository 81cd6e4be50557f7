"""The child process that does the work of one row, and its client."""
