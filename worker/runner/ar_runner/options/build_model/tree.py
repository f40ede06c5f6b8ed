"""One decision tree with leaves of at least 10 rows."""

from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

IGNORES = ("scale",)


def make(context):
    tree = DecisionTreeRegressor if context.n_classes == 0 else DecisionTreeClassifier
    return tree(max_depth=8, min_samples_leaf=10, random_state=context.seed)
