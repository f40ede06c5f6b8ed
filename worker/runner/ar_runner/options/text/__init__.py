"""The treatment of text columns; it is not searched."""
