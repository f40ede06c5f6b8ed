"""The Python side of a worker: loads a table once, forks one child per experiment, scores honestly."""
