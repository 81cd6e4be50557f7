"""The variant table: its rows, their texts, two runs side by side, and what makes a run fail."""
