"""The demo, which needs no data: synthetic street scenes, the bundled network and its training."""
