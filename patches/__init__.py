"""White-list patches as data."""
