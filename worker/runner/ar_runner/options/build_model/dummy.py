"""The floor: the most frequent class with the class shares, or the mean."""

from sklearn.dummy import DummyClassifier, DummyRegressor

IGNORES = ("scale", "features", "weighting")


def make(context):
    return DummyRegressor() if context.n_classes == 0 else DummyClassifier(strategy="prior")
