"""Zeros that cannot be measurements count as missing, with a column that says where."""

from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from ar_runner.transformers import SuspiciousZeros


def make(context):
    median = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return {"numeric": make_pipeline(SuspiciousZeros(), median)}
