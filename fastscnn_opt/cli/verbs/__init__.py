"""One module per verb: arguments and printing."""
