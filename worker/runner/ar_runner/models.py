"""Small wrappers around models. Imports nothing of the package: `pipeline.py` carries a copy of those it needs."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if


def inner_has(name):
    """True if the wrapped model has this method, so that the wrapper has it just then."""
    return lambda wrapper: hasattr(wrapper.model, name)


def lightgbm_categories(context):
    """The settings by which LightGBM splits on sets of categories, where the study asks for it.

    Its own defaults never split on a category of less than 100 rows.
    """
    if not context.native_columns:
        return {}
    return {"categorical_feature": list(context.native_columns), "min_data_per_group": 10, "cat_smooth": 4}


class ClassWeights(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fits a classifier with weights that even out the classes: fully at power 1, half-way at 0.5."""

    def __init__(self, model, power=1.0):
        self.model = model
        self.power = power

    def fit(self, X, y):
        self.classes_, code, counts = np.unique(y, return_inverse=True, return_counts=True)
        weights = (len(y) / (len(counts) * counts)) ** self.power
        self.model_ = clone(self.model)
        name = f"{self.model_.steps[-1][0]}__sample_weight" if isinstance(self.model_, Pipeline) else "sample_weight"
        self.model_.fit(X, y, **{name: weights[code]})
        return self

    def predict(self, X):
        return self.model_.predict(X)

    @available_if(inner_has("predict_proba"))
    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    @available_if(inner_has("decision_function"))
    def decision_function(self, X):
        return self.model_.decision_function(X)


class EarlyStopping(BaseEstimator):
    """Fits a LightGBM model on four fifths of the rows it is given, and stops when the rest says so."""

    def __init__(self, model, rounds=30, seed=0):
        self.model = model
        self.rounds = rounds
        self.seed = seed

    def fit(self, X, y, sample_weight=None):
        from lightgbm import early_stopping

        stratify = y if hasattr(self.model, "predict_proba") and np.bincount(y).min() >= 2 else None
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        train, rest = train_test_split(np.arange(len(y)), test_size=0.2, random_state=self.seed, stratify=stratify)
        self.model_ = clone(self.model).fit(
            X[train],
            y[train],
            sample_weight=weights[train],
            eval_set=[(X[rest], y[rest])],
            eval_sample_weight=[weights[rest]],
            callbacks=[early_stopping(self.rounds, verbose=False)],
        )
        return self

    def predict(self, X):
        return self.model_.predict(X)

    @available_if(inner_has("predict_proba"))
    def predict_proba(self, X):
        return self.model_.predict_proba(X)
