"""Histogram gradient boosting of 200 trees that learn slowly from half the columns each."""

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

IGNORES = ("scale",)


def make(context):
    booster = HistGradientBoostingRegressor if context.n_classes == 0 else HistGradientBoostingClassifier
    return booster(
        max_iter=200,
        max_leaf_nodes=12,
        learning_rate=0.08,
        min_samples_leaf=10,
        l2_regularization=1.0,
        max_features=0.5,
        early_stopping=False,
        categorical_features=list(context.native_columns) or None,
        random_state=context.seed,
    )
