"""Post-training quantisation to int8: what is quantised, over which ranges, and what it costs."""
