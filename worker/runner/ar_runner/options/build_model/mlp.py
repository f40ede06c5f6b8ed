"""A small neural network (one hidden layer of 16) with a strong penalty."""

from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler


def make(context):
    settings = dict(
        hidden_layer_sizes=(16,), solver="lbfgs", alpha=3.0, max_iter=200, random_state=context.seed
    )
    if context.n_classes == 0:
        return TransformedTargetRegressor(
            regressor=MLPRegressor(**settings), transformer=StandardScaler(), check_inverse=False
        )
    return MLPClassifier(**settings)
