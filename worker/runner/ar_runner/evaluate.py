"""The three blocks of an experiment: cross-validation, the sealed rows, and the fit on all rows."""

import time
from typing import Any, Callable

import numpy as np

from ar_runner.assemble import assemble
from ar_runner.context import Context
from ar_runner.ensemble import Voters
from ar_runner.fitting import fit_and_predict, take
from ar_runner.load import Table, load_table
from ar_runner.matrix import matrix_hash
from ar_runner.metrics import METRICS, NoMetric, positive_class, score
from ar_runner.options_index import OptionsIndex
from ar_runner.splits import make_folds, sealed_rows, without_groups_of
from ar_runner.study import Study, StudyError

Send = Callable[[dict[str, Any]], None]

RESAMPLES = 1000
LEVEL = 0.95


class Evaluator:
    """Holds what every experiment of a study shares. Made before the fork; it never fits anything."""

    def __init__(self, study: Study, options: OptionsIndex) -> None:
        self.study = study
        self.options = options
        known = METRICS.get(study.metric)
        if known is None or known.task != study.task:
            raise StudyError(f"metric `{study.metric}` does not fit the task {study.task}")
        self.metric = known
        self.table: Table = load_table(
            str(study.data),
            study.delimiter,
            study.header_rows,
            study.columns,
            study.target,
            study.task,
            study.group,
            study.time,
        )
        table = self.table
        if not table.layout.names:
            raise StudyError("no column is left to predict from; every column is an id, constant or dropped")
        self.n_classes = len(table.classes)
        if study.task == "classification" and self.n_classes < 2:
            raise StudyError(f"column `{study.target}` has fewer than two classes")
        self.positive = positive_class(table.y) if self.n_classes == 2 else None
        self.sealed = sealed_rows(table.y, study.task, study.holdout, study.seed, table.groups, table.times)
        self.open = np.setdiff1d(np.arange(len(table.y)), self.sealed)
        self.first_folds = self.one_split(0)

    def folds(self, repeat: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Folds of a run: of the study's own split for 0, of the `study.repeats` splits of any other."""
        if repeat == 0:
            return self.first_folds
        each = self.study.repeats
        return [fold for split in range((repeat - 1) * each, repeat * each) for fold in self.one_split(split + 1)]

    def one_split(self, repeat: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Folds of the rows that are not sealed, as positions in the table."""
        study, table, rows = self.study, self.table, self.open
        groups = None if table.groups is None else table.groups[rows]
        times = None if table.times is None else table.times[rows]
        try:
            folds = make_folds(table.y[rows], study.task, study.folds, study.seed, repeat, groups, times)
        except ValueError as error:
            raise StudyError(str(error)) from error
        return [(rows[train], rows[test]) for train, test in folds]

    def context(self, config: dict[str, str], rows: int, probabilities: bool = False) -> Context:
        layout = self.table.layout
        return Context(
            task=self.study.task,
            metric=self.study.metric,
            n_classes=self.n_classes,
            seed=self.study.seed,
            rows=rows,
            numeric=layout.numeric,
            categorical=layout.categorical,
            text=layout.text,
            names=layout.names,
            config=self.options.effective(config),
            probabilities=probabilities or self.metric.looks_at == "probabilities",
        )

    def pipeline(self, config: dict[str, str], rows: int, probabilities: bool = False) -> Any:
        modules = self.options.chosen(config)
        make = {slot: module.make for slot, module in modules.items()}
        return assemble(self.context(config, rows, probabilities), make)

    def predict(self, config: dict[str, str], train: np.ndarray, test: np.ndarray, **hooks: Any) -> tuple:
        X, y = self.table.X, self.table.y
        pipeline = self.pipeline(config, len(train))
        return fit_and_predict(
            pipeline, take(X, train), y[train], take(X, test), self.n_classes, self.metric.looks_at, **hooks
        )

    def score(self, rows: np.ndarray, labels: np.ndarray, scores: np.ndarray | None) -> float:
        return score(self.study.metric, self.table.y[rows], labels, scores, self.positive)

    def cross_validate(self, config: dict[str, str], repeat: int, send: Send) -> dict[str, Any]:
        """Sends the hash of the matrix before the first fit, each fold as it ends, and returns the result.
        Its seconds are those of one cross-validation, however many splits the run covers.
        """
        hashes: list[str] = []
        fitted_at = 0.0

        def on_matrix(train: np.ndarray, test: np.ndarray) -> None:
            full = self.options.effective(config)
            # Codes that the model takes for categories are not the same as codes that it takes for numbers.
            treatment = "native" if full["encode"] == "native" else "numbers"
            hashes.append(matrix_hash(train, test, full["build_model"], full["weighting"], treatment))
            send({"op": "matrix", "hash": hashes[0]})

        def on_fitted() -> None:
            nonlocal fitted_at
            fitted_at = time.perf_counter()

        folds = self.folds(repeat)
        splits = len(folds) / self.study.folds
        values, seconds, predict_seconds = [], 0.0, 0.0
        for index, (train, test) in enumerate(folds):
            started = time.perf_counter()
            hook = on_matrix if index == 0 else None
            labels, scores = self.predict(config, train, test, on_matrix=hook, on_fitted=on_fitted)
            ended = time.perf_counter()
            values.append(self.score(test, labels, scores))
            seconds += ended - started
            predict_seconds += ended - fitted_at
            send({"op": "fold", "fold": index, "score": values[-1], "seconds": ended - started})
        return {
            "op": "result",
            "score": float(np.mean(values)),
            "folds": values,
            "seconds": seconds / splits,
            "predict_seconds": predict_seconds / splits,
            "matrix": hashes[0],
        }

    def open_sealed(
        self, config: dict[str, str], reference: dict[str, str], members: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Scores both on the sealed rows, with a paired bootstrap interval of the difference."""
        if not len(self.sealed):
            raise StudyError("this study sealed no rows; give it a holdout")
        started = time.perf_counter()
        # Sealed by time, a group can have rows on both sides.
        train = without_groups_of(self.open, self.sealed, self.table.groups)
        voters = Voters(self, members) if members else None
        ours = voters.predict(train, self.sealed) if voters else self.predict(config, train, self.sealed)
        theirs = self.predict(reference, train, self.sealed)
        score, reference_score = self.score(self.sealed, *ours), self.score(self.sealed, *theirs)
        sign = 1.0 if self.metric.maximize else -1.0
        differences = self._resampled_differences(ours, theirs)
        low, high = np.quantile(sign * differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return {
            "op": "result",
            "score": score,
            "reference_score": reference_score,
            "difference": sign * (score - reference_score),
            "low": float(low),
            "high": float(high),
            "level": LEVEL,
            "rows": len(self.sealed),
            "weights": voters.given() if voters else [],
            "seconds": time.perf_counter() - started,
        }

    def _resampled_differences(self, ours: tuple, theirs: tuple) -> np.ndarray:
        """Differences of the two scores over resampled sealed rows; whole groups where rows have groups."""
        y = self.table.y[self.sealed]
        groups = np.arange(len(y)) if self.table.groups is None else self.table.groups[self.sealed]
        names, group_of_row = np.unique(groups, return_inverse=True)
        rows_of = np.split(np.argsort(group_of_row, kind="stable"), np.cumsum(np.bincount(group_of_row))[:-1])
        generator = np.random.default_rng(self.study.seed)
        function = self.metric.function
        differences = []
        for _ in range(RESAMPLES):
            drawn = generator.integers(0, len(names), len(names))
            rows = drawn if len(names) == len(y) else np.concatenate([rows_of[group] for group in drawn])
            try:
                values = [
                    function(y[rows], labels[rows], None if scores is None else scores[rows], self.positive)
                    for labels, scores in (ours, theirs)
                ]
            # A draw with one class only has no roc_auc; it says nothing about the difference.
            except NoMetric:
                continue
            differences.append(values[0] - values[1])
        return np.array(differences or [0.0])

    def refit(
        self, config: dict[str, str], out: str, members: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Fits on all rows, sealed ones too, and writes the model and the code that made it."""
        from ar_runner.export import write_pipeline
        from ar_runner.predict import write_model

        started = time.perf_counter()
        table = self.table
        rows = len(table.y)
        voters = Voters(self, members) if members else None
        pipeline = voters.ensemble(rows) if voters else self.pipeline(config, rows, probabilities=True)
        write_model(out, pipeline.fit(table.X, table.y), self.study, table)
        write_pipeline(out, self, config, members)
        return {
            "op": "result",
            "files": ["model.joblib", "pipeline.py"],
            "seconds": time.perf_counter() - started,
            "weights": voters.given() if voters else [],
        }
