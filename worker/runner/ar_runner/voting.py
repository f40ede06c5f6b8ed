"""Ensembles: what several pipelines predict, averaged.

Imports nothing of the package but what `pipeline.py` carries, as it carries a copy of this, too.
"""

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from ar_runner.fitting import class_scores, fit_model


class NoVote(Exception):
    """A member predicts what cannot be averaged."""


def votes(model: Any, known: np.ndarray, matrix: Any, n_classes: int) -> np.ndarray:
    """What a fitted model says: numbers, or a share for each class (all of it for the label where it has no shares)."""
    if n_classes == 0:
        said = np.asarray(model.predict(matrix), dtype=float).ravel()
    else:
        shares = None if model is None else class_scores(model, matrix, probabilities=True)
        if shares is None:
            codes = np.zeros(len(matrix), dtype=int) if model is None else np.asarray(model.predict(matrix)).ravel()
            if not np.isin(codes, np.arange(len(known))).all():
                raise NoVote("a member of the ensemble predicts labels that are no classes")
            shares = np.eye(len(known))[codes.astype(int)]
        said = np.zeros((len(matrix), n_classes))
        said[:, known] = shares
    if not np.isfinite(said).all():
        raise NoVote("the predictions of a member of the ensemble hold NaN or infinite values")
    return said


def fit_and_vote(pipeline: Any, X_train: Any, y_train: np.ndarray, X_test: Any, n_classes: int, on_fitted: Any = None):
    """Fits a pipeline on some rows; what it says of others."""
    transform, model = pipeline[:-1], pipeline[-1]
    train = transform.fit_transform(X_train, y_train)
    test = transform.transform(X_test)
    model, known = fit_model(model, train, y_train, n_classes)
    if on_fitted is not None:
        on_fitted()
    return votes(model, known, test, n_classes)


def weighted_mean(said: list[np.ndarray], weights: list[int]) -> np.ndarray:
    """The mean of what members say. Summed in their order, so that it is the same to the last digit everywhere."""
    total = np.zeros_like(said[0])
    for vote, weight in zip(said, weights):
        if weight:
            total += weight * vote
    return total / sum(weights)


def decide(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels or numbers, and the shares of the classes."""
    return (mean, None) if mean.ndim == 1 else (np.argmax(mean, axis=1), mean)


class Ensemble:
    """Pipelines whose predictions are averaged, one after another."""

    def __init__(self, pipelines: list[Any], weights: list[int], n_classes: int) -> None:
        self.pipelines = pipelines
        self.weights = weights
        self.n_classes = n_classes

    def fit(self, X: Any, y: np.ndarray) -> "Ensemble":
        for pipeline in self.pipelines:
            pipeline.fit(X, y)
        return self

    def _mean(self, X: Any) -> np.ndarray:
        known = np.arange(self.n_classes)
        return weighted_mean([votes(p, known, X, self.n_classes) for p in self.pipelines], self.weights)

    def predict(self, X: Any) -> np.ndarray:
        return decide(self._mean(X))[0]

    @available_if(lambda ensemble: ensemble.n_classes > 0)
    def predict_proba(self, X: Any) -> np.ndarray:
        return self._mean(X)
