"""The main part of an exported `pipeline.py`. There SETTINGS, MAKE and METRIC are constants of the file."""

import sys
import warnings

import numpy as np
import pandas as pd

from ar_runner.assemble import assemble
from ar_runner.context import Context
from ar_runner.fitting import fit_and_predict, take
from ar_runner.load import load_table, read_cells, to_matrix
from ar_runner.metrics import positive_class
from ar_runner.splits import make_folds, sealed_rows

# Filled in by the export.
SETTINGS: dict = {}
MAKE: dict = {}
METRIC = None


def load(path):
    names = ("delimiter", "header_rows", "columns", "target", "task", "group", "time")
    return load_table(path, *[SETTINGS[name] for name in names])


def build(table, rows):
    """The pipeline, unfitted, for a training set of so many rows."""
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
        config=SETTINGS["config"],
        probabilities=SETTINGS["looks_at"] == "probabilities",
    )
    return assemble(context, MAKE)


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
        pipeline, looks_at = build(table, len(train)), SETTINGS["looks_at"]
        X_train, X_test = take(table.X, train), take(table.X, test)
        labels, ranking = fit_and_predict(pipeline, X_train, y[train], X_test, n_classes, looks_at)
        scores.append(METRIC(y[test], labels, ranking, positive))
    return scores


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit("usage: python pipeline.py DATA.csv [NEW.csv PREDICTIONS.csv]")
    warnings.simplefilter("ignore")
    np.random.seed(SETTINGS["seed"] % 2**32)
    table = load(sys.argv[1])
    scores = cross_validate(table)
    print(f"{SETTINGS['metric']} {np.mean(scores):.12g}, mean of {len(scores)} folds")
    if len(sys.argv) == 4:
        model = build(table, len(table.y)).fit(table.X, table.y)
        header = SETTINGS["header_rows"]
        names = None if header else [name for name, _ in SETTINGS["columns"]]
        cells = read_cells(sys.argv[2], SETTINGS["delimiter"], header, names)
        predicted = model.predict(to_matrix(cells, table.layout))
        lines = [table.classes[int(code)] for code in predicted] if table.classes else predicted.ravel()
        pd.DataFrame({"prediction": lines}).to_csv(sys.argv[3], index=False)
