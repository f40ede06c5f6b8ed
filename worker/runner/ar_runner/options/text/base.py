"""Weights of the 64 most frequent words of each column."""

from ar_runner.transformers import SmallText


def make(context):
    return SmallText(words=64)
