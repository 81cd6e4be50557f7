"""Child processes: start, ask, limit and end them."""
