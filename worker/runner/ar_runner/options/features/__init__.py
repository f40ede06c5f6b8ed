"""Generated features. `make(context)` returns transformers by where they work: on the numeric columns before
(`raw`) or after (`scaled`) scaling, or on the whole `matrix`."""
