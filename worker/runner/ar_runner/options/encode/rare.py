"""One column per category; categories of less than 2 % of the rows share one."""

from sklearn.preprocessing import OneHotEncoder


def make(context):
    return OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.02, sparse_output=False)
