"""Everything that lets the demo run without data: street scenes, the bundled network, its training."""
