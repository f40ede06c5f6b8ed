"""From 0 to 1."""

from sklearn.preprocessing import MinMaxScaler


def make(context):
    return MinMaxScaler()
