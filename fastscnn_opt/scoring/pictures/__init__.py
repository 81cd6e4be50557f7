"""Label maps as pictures: saved in a run folder, drawn in the Cityscapes colours, laid over photographs."""
