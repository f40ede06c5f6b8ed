"""How numeric columns are scaled. `make(context)` returns a scaler or None."""
