"""Zeros that cannot be measurements count as missing; then as base."""

from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from ar_runner.transformers import SuspiciousZeros


def make(context):
    median = SimpleImputer(strategy="median", keep_empty_features=True)
    return {
        "numeric": make_pipeline(SuspiciousZeros(), median),
        "categorical": SimpleImputer(strategy="most_frequent", keep_empty_features=True),
    }
