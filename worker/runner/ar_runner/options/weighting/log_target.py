"""The logarithm of the target is learned; for targets that are never negative."""

import numpy as np
from sklearn.compose import TransformedTargetRegressor


def make(context, model):
    return TransformedTargetRegressor(regressor=model, func=np.log1p, inverse_func=np.expm1, check_inverse=False)
