"""Post-training quantisation for `int8`: the layers, their ranges, and what each costs in accuracy."""
