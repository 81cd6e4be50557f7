"""How `input-size` follows height and width through a graph."""
