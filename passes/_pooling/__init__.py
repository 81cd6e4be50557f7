"""Matrix products and exporters' ladders, for the passes that lower average pooling."""
