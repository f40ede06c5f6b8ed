"""None."""


def make(context):
    return {}
