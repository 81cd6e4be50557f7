"""What the passes that lower average pooling share: their matrix products, and the ladders that exporters write."""
