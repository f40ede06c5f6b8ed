"""Random forest whose leaves hold at least 5 rows: smoother."""

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

IGNORES = ("scale",)


def make(context):
    forest = RandomForestRegressor if context.n_classes == 0 else RandomForestClassifier
    return forest(n_estimators=100, min_samples_leaf=5, max_features=0.3, random_state=context.seed, n_jobs=1)
