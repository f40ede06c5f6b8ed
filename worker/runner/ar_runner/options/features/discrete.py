"""One column per value for numeric columns with few values, such as grades and codes."""

from ar_runner.transformers import RareNumbersToClasses


def make(context):
    return {"scaled": RareNumbersToClasses()}
