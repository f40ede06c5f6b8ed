"""The half of the columns that a linear test (F) finds most related to the target."""

from sklearn.feature_selection import SelectPercentile, f_classif, f_regression


def make(context):
    test = f_regression if context.n_classes == 0 else f_classif
    return {"matrix": SelectPercentile(test, percentile=50)}
