"""Child processes: start them, ask them, limit them, and report how they died (see `death`)."""
