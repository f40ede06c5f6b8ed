"""LightGBM: 150 trees of 15 leaves."""

from lightgbm import LGBMClassifier, LGBMRegressor

from ar_runner.models import lightgbm_categories

IGNORES = ("scale",)


def make(context):
    booster = LGBMRegressor if context.n_classes == 0 else LGBMClassifier
    return booster(
        n_estimators=150,
        num_leaves=15,
        learning_rate=0.08,
        min_child_samples=10,
        random_state=context.seed,
        n_jobs=1,
        verbose=-1,
        **lightgbm_categories(context),
    )
