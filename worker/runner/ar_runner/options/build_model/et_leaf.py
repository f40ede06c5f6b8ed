"""Extremely randomised trees whose leaves hold at least 4 rows: smoother."""

from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

IGNORES = ("scale",)


def make(context):
    forest = ExtraTreesRegressor if context.n_classes == 0 else ExtraTreesClassifier
    return forest(n_estimators=100, min_samples_leaf=4, max_features=0.5, random_state=context.seed, n_jobs=1)
