"""The whole matrix turned to its main axes, as many as hold 95 % of the variance."""

from sklearn.decomposition import PCA


def make(context):
    return {"matrix": PCA(n_components=0.95, svd_solver="full")}
