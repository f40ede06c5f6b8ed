"""What rows count, and on what scale the target is learned. `make(context, model)` returns the model to fit."""
