"""Category codes, for boosters that split on sets of categories; a category never seen counts as missing."""

import numpy as np
from sklearn.preprocessing import OrdinalEncoder


def make(context):
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=200)
