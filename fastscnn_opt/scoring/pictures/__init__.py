"""Label maps as pictures: kept beside a run, drawn in the Cityscapes colours, laid over photographs."""
