"""The blocks of an experiment whose members vote."""

import time
from typing import Any, Callable

import numpy as np

from ar_runner.metrics import NoMetric
from ar_runner.voting import Ensemble, NoVote, decide, fit_and_vote, weighted_mean
from ar_runner.fitting import take

# Rounds of greedy selection, at most.
ROUNDS = 20
# What is less is no gain.
LEAST_GAIN = 1e-12


def choose_weights(said: list[np.ndarray], gain: Callable[[np.ndarray], float]) -> list[int]:
    """How often greedy selection with replacement takes each member (Caruana et al. 2004, "Ensemble selection from
    libraries of models"): in each round the one with which the mean of all taken so far gains most, of equal ones the
    first, until none gains anything.
    """
    weights = [0] * len(said)
    best = -np.inf
    for _ in range(ROUNDS):
        gains = []
        for member in range(len(said)):
            tried = [weight + (index == member) for index, weight in enumerate(weights)]
            gains.append(gain(weighted_mean(said, tried)))
        member = int(np.argmax(gains))
        if not gains[member] > best + LEAST_GAIN:
            break
        best = gains[member]
        weights[member] += 1
    return weights


class Voters:
    """The members of an ensemble on the table of a study. One is fitted after another, so that memory holds for one."""

    def __init__(self, evaluator: Any, members: list[dict[str, Any]]) -> None:
        self.evaluator = evaluator
        self.configs = [member["config"] for member in members]
        weights = [member["weight"] for member in members]
        # Where all are 0 they are to be chosen.
        self.weights = weights if any(weights) else None

    def pipelines(self, rows: int) -> list[Any]:
        """The members, unfitted. Labels alone average badly, so all are asked for probabilities that can give them."""
        return [self.evaluator.pipeline(config, rows, probabilities=True) for config in self.configs]

    def vote(self, train: np.ndarray, test: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
        """What each member says of the test rows, and the seconds that it takes to say so."""
        X, y, n_classes = self.evaluator.table.X, self.evaluator.table.y, self.evaluator.n_classes
        said, seconds = [], []
        X_train, X_test = take(X, train), take(X, test)
        for pipeline in self.pipelines(len(train)):
            fitted_at: list[float] = []
            on_fitted = lambda: fitted_at.append(time.perf_counter())  # noqa: E731
            try:
                said.append(fit_and_vote(pipeline, X_train, y[train], X_test, n_classes, on_fitted))
            except NoVote as error:
                raise NoMetric(str(error)) from error
            seconds.append(time.perf_counter() - fitted_at[0])
        return said, seconds

    def cross_validate(self, repeat: int) -> dict[str, Any]:
        """Scores each fold with the weighted mean of its members. Weights that are to be chosen are chosen by the
        study's metric on the rows of all folds together.
        """
        evaluator = self.evaluator
        started = time.perf_counter()
        folds = evaluator.folds(repeat)
        splits = len(folds) / evaluator.study.folds
        votes, seconds = zip(*(self.vote(train, test) for train, test in folds))
        weights = self.weights
        if weights is None:
            rows = np.concatenate([test for _, test in folds])
            pooled = [np.concatenate(said) for said in zip(*votes)]
            sign = 1.0 if evaluator.metric.maximize else -1.0
            weights = choose_weights(pooled, lambda mean: sign * evaluator.score(rows, *decide(mean)))
        values = [
            evaluator.score(test, *decide(weighted_mean(said, weights))) for (_, test), said in zip(folds, votes)
        ]
        # Who weighs nothing is not asked when new rows are predicted.
        asked = [sum(time for time, weight in zip(times, weights) if weight) for times in seconds]
        return {
            "op": "result",
            "score": float(np.mean(values)),
            "folds": values,
            "seconds": (time.perf_counter() - started) / splits,
            "predict_seconds": sum(asked) / splits,
            "weights": weights,
        }

    def predict(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels or numbers, and the shares of the classes, with weights that are given."""
        return decide(weighted_mean(self.vote(train, test)[0], self.given()))

    def ensemble(self, rows: int) -> Ensemble:
        """The estimator that is handed over, unfitted."""
        return Ensemble(self.pipelines(rows), self.given(), self.evaluator.n_classes)

    def given(self) -> list[int]:
        if self.weights is None:
            raise ValueError("the weights of this ensemble have not been chosen")
        return self.weights
