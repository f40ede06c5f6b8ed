"""How categories become numbers. `make(context)` returns the encoder of the categorical columns."""
