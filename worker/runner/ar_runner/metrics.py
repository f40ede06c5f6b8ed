"""The metrics by name, in their own units, and the check that a score can be true.

Plain numpy: the interval on the sealed rows calls them thousands of times.
"""

from dataclasses import dataclass
from typing import Callable

import numpy as np
from scipy.stats import rankdata


class NoMetric(Exception):
    """There is no score, or one that cannot be true; the text says why."""


def positive_class(y: np.ndarray) -> int:
    """The class that f1 is about: the rarer one, the lexically last if both are as frequent."""
    counts = np.bincount(y, minlength=2)
    return 0 if counts[0] < counts[1] else 1


def accuracy(y, labels, scores, positive):
    return float(np.mean(labels == y))


def balanced_accuracy(y, labels, scores, positive):
    """Mean recall of the classes that the rows have."""
    return float(np.mean([np.mean(labels[y == label] == label) for label in np.unique(y)]))


def f1(y, labels, scores, positive):
    """Of the positive class if there are two (`positive` is its code), else the mean of all classes."""

    def of_class(label):
        hits = np.sum((labels == label) & (y == label))
        total = np.sum(labels == label) + np.sum(y == label)
        return 2.0 * hits / total if total else 0.0

    if positive is not None:
        return float(of_class(positive))
    return float(np.mean([of_class(label) for label in np.union1d(y, labels)]))


def roc_auc(y, labels, scores, positive):
    """Of two classes; of more, the mean over one against the rest, of the classes that the rows have."""
    columns = {1: scores[:, 1]} if scores.shape[1] == 2 else dict(enumerate(scores.T))
    areas = []
    for label, values in columns.items():
        inside = y == label
        hits, others = int(inside.sum()), int((~inside).sum())
        if hits and others:
            areas.append((rankdata(values)[inside].sum() - hits * (hits + 1) / 2) / (hits * others))
    if not areas:
        raise NoMetric("roc_auc needs two classes among the test rows, and a fold has one")
    return float(np.mean(areas))


def log_loss(y, labels, scores, positive):
    shares = np.clip(scores, np.finfo(float).eps, None)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return float(-np.mean(np.log(shares[np.arange(len(y)), y])))


def rmse(y, labels, scores, positive):
    return float(np.sqrt(np.mean((y - labels) ** 2)))


def mae(y, labels, scores, positive):
    return float(np.mean(np.abs(y - labels)))


def r2(y, labels, scores, positive):
    total = np.sum((y - np.mean(y)) ** 2)
    if total == 0:
        raise NoMetric("r2 needs test rows whose targets differ, and in a fold all are equal")
    return float(1.0 - np.sum((y - labels) ** 2) / total)


@dataclass(frozen=True)
class Metric:
    function: Callable[..., float]
    task: str
    maximize: bool
    low: float | None
    high: float | None
    # What it looks at: the predicted labels or numbers, a ranking of the classes, or probabilities.
    looks_at: str = "labels"


METRICS = {
    "accuracy": Metric(accuracy, "classification", True, 0.0, 1.0),
    "balanced_accuracy": Metric(balanced_accuracy, "classification", True, 0.0, 1.0),
    "f1": Metric(f1, "classification", True, 0.0, 1.0),
    "roc_auc": Metric(roc_auc, "classification", True, 0.0, 1.0, "ranking"),
    "log_loss": Metric(log_loss, "classification", False, 0.0, None, "probabilities"),
    "rmse": Metric(rmse, "regression", False, 0.0, None),
    "mae": Metric(mae, "regression", False, 0.0, None),
    "r2": Metric(r2, "regression", True, None, 1.0),
}


def check(name: str, value: object) -> float:
    """The value if it can be a value of this metric; else `NoMetric` with the reason."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)):
        raise NoMetric(f"{name} is {value!r}, not a number")
    metric, value = METRICS[name], float(value)
    if not np.isfinite(value):
        raise NoMetric(f"{name} is {value}, not a number that can be compared")
    low, high = metric.low, metric.high
    if (low is not None and value < low - 1e-9) or (high is not None and value > high + 1e-9):
        ends = ["unbounded" if end is None else f"{end:g}" for end in (low, high)]
        raise NoMetric(f"{name} is {value:g}, outside its range ({ends[0]} to {ends[1]})")
    return value


def score(name: str, y: np.ndarray, labels: np.ndarray, scores: np.ndarray | None, positive: int | None) -> float:
    """The checked score of predictions. `scores` has a column per class where the metric looks at them."""
    metric = METRICS[name]
    looked_at = labels if metric.looks_at == "labels" else scores
    if looked_at is None:
        raise NoMetric(f"{name} needs {metric.looks_at} of classes, which this model does not give")
    if len(looked_at) != len(y):
        raise NoMetric(f"{name} cannot be computed: there are {len(looked_at)} predictions for {len(y)} rows")
    try:
        finite = np.isfinite(np.asarray(looked_at, dtype=float)).all()
    except (TypeError, ValueError):
        raise NoMetric(f"{name} cannot be computed: the predictions are not numbers") from None
    if not finite:
        raise NoMetric(f"{name} cannot be computed: the predictions hold NaN or infinite values")
    return check(name, metric.function(y, labels, scores, positive))
