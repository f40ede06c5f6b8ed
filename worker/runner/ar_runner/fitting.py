"""Fitting a pipeline on some rows and predicting others, also where a fold lacks a class.

Imports nothing of the package: `pipeline.py` carries a copy of it.
"""

from typing import Any, Callable

import numpy as np


def take(X: Any, rows: np.ndarray) -> Any:
    """Rows of a matrix or of a data frame."""
    return X[rows] if isinstance(X, np.ndarray) else X.iloc[rows]


def class_scores(model: Any, matrix: Any, probabilities: bool) -> np.ndarray | None:
    """A column per class: probabilities, or a ranking if that is all the model has and all that is asked."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(matrix), dtype=float)
    if probabilities or not hasattr(model, "decision_function"):
        return None
    ranking = np.asarray(model.decision_function(matrix), dtype=float)
    return np.column_stack([-ranking, ranking]) if ranking.ndim == 1 else ranking


def fit_model(model: Any, matrix: Any, y: np.ndarray, n_classes: int) -> tuple[Any, np.ndarray]:
    """Fits on labels without gaps (XGBoost demands it); returns the model and the classes it knows.

    The model is None if there is only one class: nothing can be learned.
    """
    if n_classes == 0:
        return model.fit(matrix, y), np.empty(0, dtype=int)
    known = np.unique(y)
    if len(known) == 1:
        return None, known
    return model.fit(matrix, y if len(known) == n_classes else np.searchsorted(known, y)), known


def predict_model(
    model: Any, known: np.ndarray, matrix: Any, n_classes: int, looks_at: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels or numbers, and class scores if the metric looks at them. An unknown class scores lowest."""
    if n_classes == 0:
        # What is no number is passed on, so that the metric can refuse it.
        return np.asarray(model.predict(matrix)).ravel(), None
    rows = len(matrix)
    if model is None:
        return np.full(rows, known[0]), np.eye(n_classes)[np.full(rows, known[0])]
    if looks_at == "labels":
        labels = np.asarray(model.predict(matrix)).ravel()
        # A model that returns no class codes (NaN, say) is passed on, so that the metric can refuse it.
        return (known[labels.astype(int)] if np.isin(labels, np.arange(len(known))).all() else labels), None
    scores = class_scores(model, matrix, looks_at == "probabilities")
    if scores is not None and len(known) < n_classes:
        lowest = 0.0 if looks_at == "probabilities" else scores.min() - 1.0
        complete = np.full((rows, n_classes), lowest)
        complete[:, known] = scores
        scores = complete
    labels = np.zeros(rows) if scores is None else np.argmax(scores, axis=1)
    return labels, scores


def fit_and_predict(
    pipeline: Any,
    X_train: Any,
    y_train: np.ndarray,
    X_test: Any,
    n_classes: int,
    looks_at: str,
    on_matrix: Callable[[Any, Any], None] | None = None,
    on_fitted: Callable[[], None] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Same as `pipeline.fit(...)` and predicting, with a look at the matrices between the two steps."""
    transform, model = pipeline[:-1], pipeline[-1]
    train = transform.fit_transform(X_train, y_train)
    test = transform.transform(X_test)
    if on_matrix is not None:
        on_matrix(train, test)
    model, known = fit_model(model, train, y_train, n_classes)
    if on_fitted is not None:
        on_fitted()
    return predict_model(model, known, test, n_classes, looks_at)
