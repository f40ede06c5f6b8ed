"""XGBoost: 1000 trees of depth 5 that learn slowly."""

from xgboost import XGBClassifier, XGBRegressor

IGNORES = ("scale",)


def make(context):
    booster = XGBRegressor if context.n_classes == 0 else XGBClassifier
    return booster(
        n_estimators=1000,
        max_depth=5,
        learning_rate=0.04,
        min_child_weight=3,
        subsample=0.7,
        colsample_bytree=0.7,
        colsample_bylevel=0.7,
        random_state=context.seed,
        n_jobs=1,
        verbosity=0,
    )
