"""The models. `make(context)` returns an unfitted one that uses one thread."""
