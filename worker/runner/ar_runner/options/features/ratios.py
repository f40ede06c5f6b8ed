"""The quotient of every two numeric columns that are never negative."""

from ar_runner.transformers import Ratios


def make(context):
    return {"raw": Ratios()}
