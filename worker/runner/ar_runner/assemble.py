"""From the chosen options to one scikit-learn pipeline, which learns only from the rows it is fitted on.

Imports nothing of the package: `pipeline.py` carries a copy of it.
"""

from dataclasses import replace
from typing import Any, Callable

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline, make_pipeline


def assemble(context: Any, make: dict[str, Callable]) -> Pipeline:
    """The steps `columns` (impute, encode, scale, generate), `features` (on the whole matrix) and `model`."""
    impute = make["impute"](context)
    generate = make["features"](context)
    whole_matrix = generate.get("matrix")
    encode = in_order(impute.get("categorical"), make["encode"](context))
    numeric = in_order(impute.get("numeric"), generate.get("raw"), make["scale"](context), generate.get("scaled"))
    blocks = [("categorical", encode, context.categorical), ("numeric", numeric, context.numeric)]
    if context.text:
        blocks.append(("text", make["text"](context), context.text))
    columns = ColumnTransformer([block for block in blocks if block[2]], sparse_threshold=0.0)
    # The encoded columns stand first, so they keep their positions unless the whole matrix is transformed.
    if context.config["encode"] == "native" and whole_matrix is None:
        context = replace(context, native_columns=tuple(range(len(context.categorical))))
    model = make["weighting"](context, make["build_model"](context))
    return Pipeline([("columns", columns), ("features", whole_matrix or "passthrough"), ("model", model)])


def in_order(*steps: Any) -> Any:
    """The steps that are there, as one transformer."""
    present = [step for step in steps if step is not None]
    if len(present) > 1:
        return make_pipeline(*present)
    return present[0] if present else "passthrough"
