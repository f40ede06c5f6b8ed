"""Every row counts the same, the target is as it is."""


def make(context, model):
    return model
