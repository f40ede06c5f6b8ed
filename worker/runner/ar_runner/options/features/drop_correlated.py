"""Columns that another column nearly repeats are dropped."""

from ar_runner.transformers import DropCorrelated


def make(context):
    return {"matrix": DropCorrelated(above=0.95)}
