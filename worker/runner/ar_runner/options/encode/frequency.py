"""The share of the training rows that have the category."""

from ar_runner.transformers import FrequencyEncoder


def make(context):
    return FrequencyEncoder()
