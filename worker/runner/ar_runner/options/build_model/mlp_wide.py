"""A neural network with two hidden layers (64, 32)."""

from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler


def make(context):
    settings = dict(
        hidden_layer_sizes=(64, 32),
        alpha=0.1,
        learning_rate_init=0.005,
        batch_size=min(64, context.rows),
        max_iter=60,
        random_state=context.seed,
    )
    if context.n_classes == 0:
        return TransformedTargetRegressor(
            regressor=MLPRegressor(**settings), transformer=StandardScaler(), check_inverse=False
        )
    return MLPClassifier(**settings)
