"""Predicts the rows of a CSV file with the model that a study handed over."""

import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from ar_runner.fitting import class_scores
from ar_runner.load import Table, read_cells, to_matrix
from ar_runner.study import Study


def write_model(out: str, pipeline: Any, study: Study, table: Table) -> None:
    """What predicting needs, and nothing of the training rows beyond what the pipeline learned."""
    model = {
        "pipeline": pipeline,
        "classes": table.classes,
        "layout": table.layout,
        "file_columns": [name for name, _ in study.columns],
        "header_rows": study.header_rows,
        "delimiter": study.delimiter,
        "target": study.target,
        "task": study.task,
        "metric": study.metric,
    }
    joblib.dump(model, Path(out) / "model.joblib", compress=3)


def predict_file(model_path: str, data: str, out: str, delimiter: str | None = None) -> int:
    """Returns the exit code: 0, or 2 with one line about what is wrong with the input."""
    # The models warn that the matrix has no column names; it never had.
    warnings.simplefilter("ignore")
    try:
        model = joblib.load(model_path)
    # A file that is no model can make the reader raise anything.
    except Exception as error:  # noqa: BLE001
        return refuse(f"cannot read the model {model_path}", error)
    header = model["header_rows"]
    try:
        cells = read_cells(data, delimiter or model["delimiter"], header, None if header else model["file_columns"])
    except (OSError, ValueError) as error:
        return refuse(f"cannot read {data}", error)
    missing = [name for name, _ in model["layout"].columns if name not in cells.columns]
    if missing:
        print(f"{data} lacks columns that the model needs: {', '.join(missing)}", file=sys.stderr)
        return 2
    try:
        predictions(model, cells).to_csv(out, index=False)
    except OSError as error:
        return refuse(f"cannot write {out}", error)
    return 0


def refuse(what: str, error: Exception) -> int:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    print(f"{what}: {reason[0]}", file=sys.stderr)
    return 2


def predictions(model: dict[str, Any], cells: pd.DataFrame) -> pd.DataFrame:
    """The column `prediction`, and `probability_<class>` for each class where the model has them."""
    pipeline, classes = model["pipeline"], model["classes"]
    if not len(cells):
        return pd.DataFrame({"prediction": []})
    X = to_matrix(cells, model["layout"])
    predicted = pipeline.predict(X)
    if not classes:
        return pd.DataFrame({"prediction": np.asarray(predicted, dtype=float).ravel()})
    table = pd.DataFrame({"prediction": [classes[code] for code in np.asarray(predicted).ravel().astype(int)]})
    probabilities = class_scores(pipeline, X, probabilities=True)
    if probabilities is not None:
        for code, label in enumerate(classes):
            table[f"probability_{label}"] = probabilities[:, code]
    return table
