"""A linear model that leaves out what does not help (L1)."""

from sklearn.linear_model import LassoCV, LogisticRegression


def make(context):
    if context.n_classes == 0:
        return LassoCV(n_alphas=30, cv=3, max_iter=3000, random_state=context.seed, n_jobs=1)
    solver = "liblinear" if context.n_classes == 2 else "saga"
    return LogisticRegression(penalty="l1", C=0.3, solver=solver, max_iter=200, random_state=context.seed)
