"""The product of every two numeric columns."""

from sklearn.preprocessing import PolynomialFeatures


def make(context):
    return {"scaled": PolynomialFeatures(degree=2, interaction_only=True, include_bias=False)}
