"""What an exported `pipeline.py` of an ensemble has in place of the same functions of `standalone`."""

import numpy as np

from ar_runner.assemble import assemble
from ar_runner.context import Context
from ar_runner.fitting import take
from ar_runner.metrics import positive_class
from ar_runner.splits import make_folds, sealed_rows
from ar_runner.voting import Ensemble, decide, fit_and_vote, weighted_mean

# Filled in by the export.
SETTINGS: dict = {}
MAKE: list = []
METRIC = None


def build(table, rows):
    """The ensemble, unfitted, for a training set of so many rows."""
    pipelines = []
    for member, make in zip(SETTINGS["members"], MAKE):
        context = Context(
            task=SETTINGS["task"],
            metric=SETTINGS["metric"],
            n_classes=len(table.classes),
            seed=SETTINGS["seed"],
            rows=rows,
            numeric=table.layout.numeric,
            categorical=table.layout.categorical,
            text=table.layout.text,
            names=table.layout.names,
            config=member["config"],
            probabilities=True,
        )
        pipelines.append(assemble(context, make))
    return Ensemble(pipelines, [member["weight"] for member in SETTINGS["members"]], len(table.classes))


def cross_validate(table):
    """The score of each fold, on the rows that the study did not seal."""
    seed, task, y = SETTINGS["seed"], SETTINGS["task"], table.y
    sealed = sealed_rows(y, task, SETTINGS["holdout"], seed, table.groups, table.times)
    rows = np.setdiff1d(np.arange(len(y)), sealed)
    groups = None if table.groups is None else table.groups[rows]
    times = None if table.times is None else table.times[rows]
    n_classes = len(table.classes)
    positive = positive_class(y) if n_classes == 2 else None
    scores = []
    for train, test in make_folds(y[rows], task, SETTINGS["folds"], seed, 0, groups, times):
        train, test = rows[train], rows[test]
        X_train, X_test = take(table.X, train), take(table.X, test)
        ensemble = build(table, len(train))
        said = [fit_and_vote(pipeline, X_train, y[train], X_test, n_classes) for pipeline in ensemble.pipelines]
        labels, shares = decide(weighted_mean(said, ensemble.weights))
        scores.append(METRIC(y[test], labels, shares, positive))
    return scores
