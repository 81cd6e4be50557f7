"""Images and labels: descriptions and presets, preprocessing, binary dumps, synthetic street scenes."""
