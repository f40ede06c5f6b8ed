"""XGBoost: 200 trees of depth 8 that look at half the columns each."""

from xgboost import XGBClassifier, XGBRegressor

IGNORES = ("scale",)


def make(context):
    booster = XGBRegressor if context.n_classes == 0 else XGBClassifier
    return booster(
        n_estimators=200,
        max_depth=8,
        learning_rate=0.1,
        min_child_weight=3,
        subsample=0.7,
        colsample_bytree=0.5,
        random_state=context.seed,
        n_jobs=1,
        verbosity=0,
    )
