"""The tools that run a compiled file on a device, and their reports."""
