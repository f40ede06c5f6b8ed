"""Histogram gradient boosting of scikit-learn: 100 trees."""

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

IGNORES = ("scale",)


def make(context):
    booster = HistGradientBoostingRegressor if context.n_classes == 0 else HistGradientBoostingClassifier
    return booster(
        early_stopping=False, categorical_features=list(context.native_columns) or None, random_state=context.seed
    )
