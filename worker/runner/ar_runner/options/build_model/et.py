"""Extremely randomised trees, 100 of them."""

from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

IGNORES = ("scale",)


def make(context):
    forest = ExtraTreesRegressor if context.n_classes == 0 else ExtraTreesClassifier
    return forest(n_estimators=100, max_features=0.7, random_state=context.seed, n_jobs=1)
