"""One number per category, in the order of their names (of their values, if they are numbers)."""

from sklearn.preprocessing import OrdinalEncoder


def make(context):
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
