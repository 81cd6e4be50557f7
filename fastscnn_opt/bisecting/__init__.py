"""Bisecting: find the first pass of a pipeline that costs too much accuracy, and which of its changes do."""
