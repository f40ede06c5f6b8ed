"""One column per category; of many, the 30 most frequent have their own and the rest share one."""

from sklearn.preprocessing import OneHotEncoder


def make(context):
    return OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=31, sparse_output=False)
