"""Linear discriminants with a covariance that is shrunk as far as the data ask for."""

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis


def make(context):
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
