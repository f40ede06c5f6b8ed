"""Missing numbers are predicted from the other numbers by ridge regression, column by column."""

from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer


def make(context):
    return {"numeric": IterativeImputer(max_iter=5, random_state=context.seed, keep_empty_features=True)}
