"""Sample inputs for models: their sizes, what their values mean to the graph, and the arrays."""
