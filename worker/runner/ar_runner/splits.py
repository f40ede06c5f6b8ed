"""Which rows are sealed and which rows are in which fold. Everything follows from the seed.

Imports nothing of the package: `pipeline.py` carries a copy of it.
"""

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

Fold = tuple[np.ndarray, np.ndarray]


def sealed_rows(
    y: np.ndarray,
    task: str,
    holdout: float | None,
    seed: int,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """Positions of the sealed rows: the last in time, else whole groups, else a share of each class."""
    rows = len(y)
    if not holdout:
        return np.empty(0, dtype=int)
    generator = np.random.default_rng(seed)
    if times is not None:
        in_order = np.argsort(times, kind="stable")
        return np.sort(in_order[rows - round(holdout * rows) :])
    if groups is not None:
        names, group_of_row, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        shuffled = generator.permutation(len(names))
        before = np.cumsum(sizes[shuffled]) - sizes[shuffled]
        return np.flatnonzero(np.isin(group_of_row, shuffled[before + sizes[shuffled] / 2 <= holdout * rows]))
    if task == "regression":
        return np.sort(generator.permutation(rows)[: round(holdout * rows)])
    of_class = (generator.permutation(np.flatnonzero(y == label)) for label in np.unique(y))
    return np.sort(np.concatenate([rows_of[: round(holdout * len(rows_of))] for rows_of in of_class]))


def without_groups_of(train: np.ndarray, test: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Takes out of `train` what shares a group with `test`; only splits by time need it."""
    return train if groups is None else train[~np.isin(groups[train], groups[test])]


def make_folds(
    y: np.ndarray,
    task: str,
    folds: int,
    seed: int,
    repeat: int = 0,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
) -> list[Fold]:
    """Training and test positions of each fold. Too few rows or groups is an error, never fewer folds.

    Folds by time train on what came before; a further repeat moves their bounds by leaving out a
    few of the newest rows. Rows of the same time stay in the order of the file.
    """
    random = (seed + 1000 * repeat) % 2**32
    units = len(y) if groups is None else len(np.unique(groups))
    if units < folds + (times is not None):
        what = "rows" if groups is None else "groups"
        raise ValueError(f"{units} {what} are too few for {folds} folds; ask for fewer folds")
    if times is not None:
        in_order = np.argsort(times, kind="stable")
        block = len(y) // (folds + 1)
        left_out = np.random.default_rng(random).integers(1, max(block, 2)) if repeat else 0
        in_order = in_order[: len(y) - left_out]
        pairs = [(in_order[train], in_order[test]) for train, test in TimeSeriesSplit(folds).split(in_order)]
        return [(without_groups_of(train, test, groups), test) for train, test in pairs]
    stratified = task == "classification"
    if stratified and np.bincount(y).max() < folds:
        raise ValueError(f"no class has {folds} rows; ask for fewer folds")
    if groups is not None:
        kind = StratifiedGroupKFold if stratified else GroupKFold
    else:
        kind = StratifiedKFold if stratified else KFold
    splitter = kind(n_splits=folds, shuffle=True, random_state=random)
    return list(splitter.split(np.zeros((len(y), 1)), y, groups))
