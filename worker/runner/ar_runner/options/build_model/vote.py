"""The mean of a linear model, extremely randomised trees and gradient boosting."""

from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, VotingClassifier, VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from xgboost import XGBClassifier, XGBRegressor


def make(context):
    trees = dict(n_estimators=60, min_samples_leaf=2, random_state=context.seed, n_jobs=1)
    boosting = dict(
        n_estimators=100,
        max_depth=3,
        learning_rate=0.08,
        subsample=0.7,
        colsample_bytree=0.6,
        random_state=context.seed,
        n_jobs=1,
        verbosity=0,
    )
    if context.n_classes == 0:
        members = [
            ("linear", Ridge()),
            ("trees", ExtraTreesRegressor(**trees)),
            ("boosting", XGBRegressor(**boosting)),
        ]
        return VotingRegressor(members, n_jobs=1)
    members = [
        ("linear", LogisticRegression(C=0.3, max_iter=500)),
        ("trees", ExtraTreesClassifier(**trees)),
        ("boosting", XGBClassifier(**boosting)),
    ]
    return VotingClassifier(members, voting="soft", n_jobs=1)
