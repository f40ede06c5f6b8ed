"""Mean 0, standard deviation 1."""

from sklearn.preprocessing import StandardScaler


def make(context):
    return StandardScaler()
