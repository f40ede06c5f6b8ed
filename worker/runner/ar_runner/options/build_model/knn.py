"""The 15 nearest rows, the nearer ones counting more."""

from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor


def make(context):
    neighbors = KNeighborsRegressor if context.n_classes == 0 else KNeighborsClassifier
    return neighbors(n_neighbors=min(15, context.rows), weights="distance", n_jobs=1)
