"""A linear model between ridge and lasso (elastic net)."""

from sklearn.linear_model import ElasticNetCV, LogisticRegression


def make(context):
    if context.n_classes == 0:
        return ElasticNetCV(
            l1_ratio=0.5, n_alphas=30, cv=3, max_iter=3000, random_state=context.seed, n_jobs=1
        )
    return LogisticRegression(
        penalty="elasticnet", l1_ratio=0.5, C=0.1, solver="saga", max_iter=300, random_state=context.seed
    )
