"""Missing cells stay missing, for the models that treat them on their own."""


def make(context):
    return {}
