"""Quadratic discriminants, pulled half-way to independent columns of one variance."""

from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis


def make(context):
    return QuadraticDiscriminantAnalysis(reg_param=0.5)
