"""As they are."""


def make(context):
    return None
