"""The models. `make(context)` returns an unfitted one that uses one thread.

`IGNORES` names the slots that cannot matter to the model (as the catalog says); they are taken as base.
"""
