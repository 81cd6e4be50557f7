"""Images and labels: the Cityscapes layout, preprocessing, binary dumps, synthetic street scenes."""
