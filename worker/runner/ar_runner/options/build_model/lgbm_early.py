"""LightGBM that stops by itself, judged on a fifth of the rows it is given."""

from lightgbm import LGBMClassifier, LGBMRegressor

from ar_runner.models import EarlyStopping, lightgbm_categories

IGNORES = ("scale",)


def make(context):
    booster = LGBMRegressor if context.n_classes == 0 else LGBMClassifier
    model = booster(
        n_estimators=1000,
        num_leaves=15,
        learning_rate=0.05,
        min_child_samples=10,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.7,
        random_state=context.seed,
        n_jobs=1,
        verbose=-1,
        **lightgbm_categories(context),
    )
    return EarlyStopping(model, rounds=30, seed=context.seed)
