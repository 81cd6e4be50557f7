"""Find where the time of a run on the Ascend 310 went, and what would save it."""
