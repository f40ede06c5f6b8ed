"""The product of every two numeric columns, and their squares."""

from sklearn.preprocessing import PolynomialFeatures


def make(context):
    return {"scaled": PolynomialFeatures(degree=2, include_bias=False)}
