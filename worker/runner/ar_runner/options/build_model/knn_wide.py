"""The 40 nearest rows, each counting the same."""

from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor


def make(context):
    neighbors = KNeighborsRegressor if context.n_classes == 0 else KNeighborsClassifier
    return neighbors(n_neighbors=min(40, context.rows), n_jobs=1)
