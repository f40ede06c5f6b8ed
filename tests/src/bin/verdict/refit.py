"""Fits named configurations of a study on all its rows, as the worker does at the end of a study, and predicts others.

`refit.py STUDY CONFIGS NEW OUT`: STUDY as `ar_runner serve` takes it, CONFIGS a JSON object of configurations by name
(of an ensemble its `members`), NEW the rows to predict; OUT gets a folder with `predictions.csv` for each name.
"""

import json
import random
import sys
import warnings
from pathlib import Path

import numpy as np

from ar_runner.evaluate import Evaluator
from ar_runner.options_index import OptionsIndex
from ar_runner.predict import predict_file
from ar_runner.study import read_study

study, configs, new, out = map(Path, sys.argv[1:])
warnings.simplefilter("ignore")
evaluator = Evaluator(read_study(study), OptionsIndex())
for name, config in json.loads(configs.read_text(encoding="utf-8")).items():
    folder = out / name
    folder.mkdir()
    # As in the worker's child, whose draws start anew with each experiment.
    random.seed(evaluator.study.seed)
    np.random.seed(evaluator.study.seed % 2**32)
    members = config.pop("members", None)
    evaluator.refit(config, str(folder), members)
    if code := predict_file(str(folder / "model.joblib"), str(new), str(folder / "predictions.csv")):
        sys.exit(code)
