"""Histogram gradient boosting of 200 trees with four leaves."""

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

IGNORES = ("scale",)


def make(context):
    booster = HistGradientBoostingRegressor if context.n_classes == 0 else HistGradientBoostingClassifier
    return booster(
        max_iter=200,
        max_leaf_nodes=4,
        learning_rate=0.05,
        early_stopping=False,
        categorical_features=list(context.native_columns) or None,
        random_state=context.seed,
    )
