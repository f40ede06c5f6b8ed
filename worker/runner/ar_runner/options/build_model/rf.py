"""Random forest of 100 trees."""

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

IGNORES = ("scale",)


def make(context):
    forest = RandomForestRegressor if context.n_classes == 0 else RandomForestClassifier
    return forest(n_estimators=100, random_state=context.seed, n_jobs=1)
