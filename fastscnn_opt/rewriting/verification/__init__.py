"""The numeric check of a contract: run the graph before and after a pass, and compare the outputs."""
