"""LightGBM: 800 trees of 16 leaves that learn slowly, on a share of rows and columns each."""

from lightgbm import LGBMClassifier, LGBMRegressor

from ar_runner.models import lightgbm_categories

IGNORES = ("scale",)


def make(context):
    booster = LGBMRegressor if context.n_classes == 0 else LGBMClassifier
    return booster(
        n_estimators=800,
        num_leaves=16,
        learning_rate=0.04,
        min_child_samples=5,
        subsample=0.7,
        subsample_freq=1,
        colsample_bytree=0.6,
        reg_lambda=1.0,
        random_state=context.seed,
        n_jobs=1,
        verbose=-1,
        **lightgbm_categories(context),
    )
