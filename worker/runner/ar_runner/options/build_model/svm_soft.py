"""Support vectors with an RBF kernel, smoother."""

from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR


def make(context):
    if context.n_classes == 0:
        return TransformedTargetRegressor(regressor=SVR(C=0.5), transformer=StandardScaler(), check_inverse=False)
    return SVC(C=0.3, probability=context.probabilities, random_state=context.seed)
