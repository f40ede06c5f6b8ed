"""XGBoost: 200 trees of depth 4."""

from xgboost import XGBClassifier, XGBRegressor

IGNORES = ("scale",)


def make(context):
    booster = XGBRegressor if context.n_classes == 0 else XGBClassifier
    return booster(
        n_estimators=200,
        max_depth=4,
        learning_rate=0.1,
        subsample=0.8,
        colsample_bytree=0.8,
        random_state=context.seed,
        n_jobs=1,
        verbosity=0,
    )
