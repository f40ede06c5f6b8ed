"""Writes the tables that scikit-learn carries to a folder as CSV files, the target last."""

import sys
from pathlib import Path

from sklearn import datasets

folder = Path(sys.argv[1])
frames = {
    "breast-cancer": datasets.load_breast_cancer(as_frame=True).frame,
    "wine": datasets.load_wine(as_frame=True).frame,
    "iris": datasets.load_iris(as_frame=True).frame,
    # A third of the rows, always the same, so that a study takes no longer than those of the other tables.
    "digits": datasets.load_digits(as_frame=True).frame.sample(600, random_state=0),
    "diabetes": datasets.load_diabetes(as_frame=True, scaled=False).frame,
}
for name, frame in frames.items():
    frame.to_csv(folder / f"{name}.csv", index=False)
