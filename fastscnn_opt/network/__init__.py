"""FastSCNN itself: checkpoint layouts, the torch module, the export, the demo weights."""
