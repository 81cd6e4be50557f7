"""The command line: one module per verb, arguments and printing only."""
