"""Small transformers that scikit-learn does not have. A fitted one holds only what its training rows taught.

Imports nothing of the package: `pipeline.py` carries a copy of those it needs.
"""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder, SplineTransformer


class SuspiciousZeros(TransformerMixin, BaseEstimator):
    """Makes a zero missing where it cannot be a measurement.

    A column qualifies if nothing is below zero and the step from zero to its next value is more than
    five times its usual step: a blood pressure of 0 beside 24, 30, 38; not 0 children beside 1, 2, 3.
    """

    def fit(self, X, y=None):
        self.suspicious_ = np.array([self._is_suspicious(column) for column in np.asarray(X, dtype=float).T])
        return self

    @staticmethod
    def _is_suspicious(column):
        values = np.unique(column[~np.isnan(column)])
        return len(values) > 10 and values[0] == 0 and values[1] > 5 * np.median(np.diff(values[1:]))

    def transform(self, X):
        X = np.array(X, dtype=float)
        X[(X == 0) & self.suspicious_] = np.nan
        return X


class FrequencyEncoder(TransformerMixin, BaseEstimator):
    """The share of the training rows that have the value; 0 for a value they never had."""

    def fit(self, X, y=None):
        X = np.asarray(X, dtype=float)
        self.shares_ = []
        for column in X.T:
            values, counts = np.unique(column, return_counts=True)
            self.shares_.append((values, counts / len(column)))
        return self

    def transform(self, X):
        X = np.asarray(X, dtype=float)
        encoded = np.zeros(X.shape)
        for index, (values, shares) in enumerate(self.shares_):
            # NaN sorts last and np.unique keeps one of it, so a search finds it like any value.
            place = np.minimum(np.searchsorted(values, X[:, index]), len(values) - 1)
            found = (values[place] == X[:, index]) | (np.isnan(values[place]) & np.isnan(X[:, index]))
            encoded[found, index] = shares[place[found]]
        return encoded


class RareNumbersToClasses(TransformerMixin, BaseEstimator):
    """One column per value for number columns with few values (grades, codes), beside the columns themselves."""

    def __init__(self, at_most=10):
        self.at_most = at_most

    def fit(self, X, y=None):
        X = np.asarray(X, dtype=float)
        distinct = np.array([len(np.unique(column)) for column in X.T])
        self.few_ = (distinct > 2) & (distinct <= self.at_most)
        if self.few_.any():
            self.encoder_ = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(X[:, self.few_])
        return self

    def transform(self, X):
        X = np.asarray(X, dtype=float)
        return np.hstack([X, self.encoder_.transform(X[:, self.few_])]) if self.few_.any() else X


class Ratios(TransformerMixin, BaseEstimator):
    """The quotient of every two columns that are never negative, beside the columns themselves."""

    def __init__(self, most_columns=12):
        self.most_columns = most_columns

    def fit(self, X, y=None):
        X = np.asarray(X, dtype=float)
        self.positive_ = np.flatnonzero(X.min(axis=0) >= 0)[: self.most_columns]
        # Added to both sides, so that a zero below does not explode.
        self.offset_ = np.maximum(X[:, self.positive_].mean(axis=0), 1e-12) * 0.01
        return self

    def transform(self, X):
        X = np.asarray(X, dtype=float)
        values = np.maximum(X[:, self.positive_], 0) + self.offset_
        count = len(self.positive_)
        ratios = [values[:, [a]] / values[:, [b]] for a in range(count) for b in range(count) if a < b]
        return np.hstack([X, *ratios])


class DropCorrelated(TransformerMixin, BaseEstimator):
    """Drops a column that a column before it nearly repeats."""

    def __init__(self, above=0.95):
        self.above = above

    def fit(self, X, y=None):
        X = np.asarray(X, dtype=float)
        varies = X.std(axis=0) > 0
        correlation = np.zeros((X.shape[1], X.shape[1]))
        correlation[np.ix_(varies, varies)] = np.abs(np.atleast_2d(np.corrcoef(X[:, varies], rowvar=False)))
        self.kept_ = np.flatnonzero(~(np.triu(correlation, k=1) > self.above).any(axis=0))
        return self

    def transform(self, X):
        return np.asarray(X)[:, self.kept_]


class SplineColumns(TransformerMixin, BaseEstimator):
    """A smooth basis for each column with more than ten values; the others stay as they are."""

    def __init__(self, n_knots=5):
        self.n_knots = n_knots

    def fit(self, X, y=None):
        X = np.asarray(X, dtype=float)
        self.smooth_ = np.array([len(np.unique(column)) > 10 for column in X.T])
        if self.smooth_.any():
            spline = SplineTransformer(n_knots=self.n_knots, knots="quantile", extrapolation="linear")
            self.spline_ = spline.fit(X[:, self.smooth_])
        return self

    def transform(self, X):
        X = np.asarray(X, dtype=float)
        if not self.smooth_.any():
            return X
        return np.hstack([X[:, ~self.smooth_], self.spline_.transform(X[:, self.smooth_])])


class SmallText(TransformerMixin, BaseEstimator):
    """Weights (tf-idf) of the most frequent words of each text column."""

    def __init__(self, words=64):
        self.words = words

    def fit(self, X, y=None):
        self.vectorizers_ = []
        for column in np.asarray(X, dtype=object).T:
            try:
                self.vectorizers_.append(TfidfVectorizer(max_features=self.words).fit(column))
            except ValueError:
                # No word at all in the training rows.
                self.vectorizers_.append(None)
        return self

    def transform(self, X):
        X = np.asarray(X, dtype=object)
        pairs = zip(self.vectorizers_, X.T)
        blocks = [vectorizer.transform(column).toarray() for vectorizer, column in pairs if vectorizer is not None]
        return np.hstack([np.empty((len(X), 0)), *blocks])
