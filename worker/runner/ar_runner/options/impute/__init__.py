"""How missing cells are filled. `make(context)` returns an imputer for `numeric` and one for `categorical` columns.

A column kind without an imputer keeps its missing cells; for categories that means a category of their own.
"""
