"""Label maps as pictures: saved in a run folder, drawn in the colours of their classes, laid over photographs."""
