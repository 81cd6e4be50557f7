"""How the batch axis flows through a graph, for `static-batch`."""
