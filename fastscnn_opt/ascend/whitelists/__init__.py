"""Edits of the vendor compiler's operator sources: the white-list patches."""
