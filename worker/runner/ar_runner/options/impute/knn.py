"""Missing numbers become the mean of the ten most similar rows; columns are made comparable first."""

from sklearn.impute import KNNImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def make(context):
    return {"numeric": make_pipeline(StandardScaler(), KNNImputer(n_neighbors=10, keep_empty_features=True))}
