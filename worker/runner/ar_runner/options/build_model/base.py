"""Logistic regression, or ridge regression."""

from sklearn.linear_model import LogisticRegression, Ridge


def make(context):
    return Ridge() if context.n_classes == 0 else LogisticRegression(max_iter=500)
