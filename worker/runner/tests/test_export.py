"""What a study hands over: a model that predicts new rows, and a file that repeats the score."""

import contextlib
import csv
import io
import os
import subprocess
import sys

# First: it sets how many threads the libraries use.
from support import MIXED_KINDS, StudyCase, cross_validate, mixed_cells, options

import joblib

from ar_runner.predict import predict_file

CONFIGS = (
    ("classification", 2, "accuracy", {}),
    ("classification", 2, "roc_auc", {"build_model": "svm", "scale": "quantile", "features": "squares"}),
    ("classification", 3, "log_loss", {"build_model": "lgbm_early", "encode": "native", "weighting": "half_balanced"}),
    ("classification", 3, "f1", {"build_model": "xgb", "impute": "keep", "encode": "target", "scale": "power"}),
    ("regression", 0, "rmse", {"build_model": "vote", "impute": "zeros_indicator", "weighting": "log_target"}),
    ("regression", 0, "r2", {"build_model": "spline", "impute": "iterative", "features": "pca", "encode": "frequency"}),
)


class Export(StudyCase):
    def refit(self, evaluator, config):
        out = self.folder / "best"
        out.mkdir(exist_ok=True)
        self.assertEqual(evaluator.refit(config, str(out))["files"], ["model.joblib", "pipeline.py"])
        return out

    def run_pipeline(self, *arguments):
        """Runs the file alone: without this package, from another folder."""
        command = [sys.executable, "-I", str(self.folder / "best" / "pipeline.py"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_the_exported_file_repeats_the_score(self):
        for task, classes, metric, config in CONFIGS:
            with self.subTest(metric=metric, **config):
                cells = mixed_cells(80, classes, seed=3)
                study = self.evaluator(cells, MIXED_KINDS, task=task, metric=metric, holdout=0.2, seed=5)
                expected = cross_validate(study, **config)
                self.refit(study, config)
                name, value = self.run_pipeline(self.folder / "data.csv").split(",")[0].split()
                self.assertEqual(name, metric)
                self.assertAlmostEqual(float(value), expected["score"], delta=1e-9)

    def test_it_repeats_splits_by_group_and_time(self):
        cells = mixed_cells(90)
        for name, known in (("zone", "west"), ("day", "2024-04-01")):
            cells[name] = [known if cell == "NA" else cell for cell in cells[name]]
        kinds = {**MIXED_KINDS, "zone": "group", "day": "time"}
        for keys in ({"group": "zone"}, {"time": "day"}):
            study = self.evaluator(cells, kinds, holdout=0.2, folds=2, **keys)
            self.refit(study, {})
            value = self.run_pipeline(self.folder / "data.csv").split(",")[0].split()[1]
            self.assertAlmostEqual(float(value), cross_validate(study)["score"], delta=1e-9)

    def test_every_option_can_be_exported(self):
        from ar_runner.export import render

        study = self.evaluator(mixed_cells(40), MIXED_KINDS)
        for slot, option in options().modules:
            if slot != "text":
                compile(render(study, {slot: option}), f"{slot}/{option}", "exec")

    def test_the_file_predicts_as_the_model_does(self):
        study = self.evaluator(mixed_cells(80), MIXED_KINDS)
        self.refit(study, {"build_model": "rf"})
        new = self.new_rows()
        self.run_pipeline(self.folder / "data.csv", new, self.folder / "theirs.csv")
        rows = self.predict(new)
        with open(self.folder / "theirs.csv", encoding="utf-8") as file:
            theirs = [row["prediction"] for row in csv.DictReader(file)]
        self.assertEqual(theirs, [row["prediction"] for row in rows])

    def new_rows(self):
        """Rows without the target, in another order of columns, with a category and words never seen."""
        cells = mixed_cells(12, seed=9)
        del cells["target"]
        cells["zone"] = ["atlantis"] * 6 + cells["zone"][6:]
        cells["note"] = ["never seen"] * 12
        cells["extra"] = ["1"] * 12
        names = list(reversed(cells))
        path = self.folder / "new.csv"
        lines = [" , ".join(names)] + [",".join(row) for row in zip(*(cells[name] for name in names))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def predict(self, data):
        out = self.folder / "predictions.csv"
        self.assertEqual(predict_file(str(self.folder / "best" / "model.joblib"), str(data), str(out)), 0)
        with open(out, encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def test_predictions_are_labels_with_probabilities(self):
        for encode in ("base", "rare", "ordinal", "frequency", "target", "native"):
            study = self.evaluator(mixed_cells(80, classes=3), MIXED_KINDS, metric="accuracy")
            model = "hgb" if encode == "native" else "svm"
            self.refit(study, {"encode": encode, "build_model": model})
            rows = self.predict(self.new_rows())
            self.assertEqual(len(rows), 12)
            labels = ["low", "middle", "top"]
            for row in rows:
                shares = [float(row[f"probability_{label}"]) for label in labels]
                self.assertIn(row["prediction"], labels)
                self.assertAlmostEqual(sum(shares), 1.0, places=6)
            self.assertGreater(len({row["prediction"] for row in rows}), 1)

    def test_the_model_knows_all_rows_the_sealed_ones_too(self):
        cells = mixed_cells(80)
        study = self.evaluator(cells, MIXED_KINDS, holdout=0.3)
        self.refit(study, {"build_model": "knn"})
        # A neighbour at distance zero decides alone, so each row that it was fitted on gets its own label.
        rows = self.predict(self.folder / "data.csv")
        self.assertEqual([row["prediction"] for row in rows], cells["target"])

    def test_predictions_of_numbers(self):
        study = self.evaluator(mixed_cells(80, classes=0), MIXED_KINDS, task="regression", metric="rmse")
        self.refit(study, {"weighting": "log_target"})
        rows = self.predict(self.new_rows())
        self.assertEqual(list(rows[0]), ["prediction"])
        self.assertTrue(all(float(row["prediction"]) > -1 for row in rows))

    def test_input_that_cannot_be_used_is_one_line_and_exit_2(self):
        study = self.evaluator(mixed_cells(60), MIXED_KINDS)
        model = self.refit(study, {}) / "model.joblib"
        short = self.folder / "short.csv"
        short.write_text("size,weight\n1,2\n", encoding="utf-8")
        new, out, nowhere = self.new_rows(), self.folder / "out.csv", self.folder / "no" / "where"
        cases = [
            (model, short, out, "grade, zone, day, note"),
            (model, nowhere, out, "cannot read"),
            (short, new, out, "cannot read the model"),
            (model, new, nowhere, "cannot write"),
        ]
        for *paths, message in cases:
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                self.assertEqual(predict_file(*map(str, paths)), 2)
            self.assertIn(message, said.getvalue())
            self.assertEqual(said.getvalue().count("\n"), 1)

    def test_the_command_predicts(self):
        self.refit(self.evaluator(mixed_cells(60), MIXED_KINDS), {})
        out = self.folder / "out.csv"
        command = [sys.executable, "-m", "ar_runner", "predict", "best/model.joblib", str(self.new_rows()), str(out)]
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(out.read_text().splitlines()), 13)

    def test_the_model_holds_no_training_table(self):
        study = self.evaluator(mixed_cells(60), MIXED_KINDS)
        out = self.refit(study, {})
        held = joblib.load(out / "model.joblib")
        self.assertEqual(sorted(held["pipeline"].named_steps), ["columns", "features", "model"])
        self.assertLess((out / "model.joblib").stat().st_size, 50_000)


class Sealed(StudyCase):
    def open_sealed(self, metric, config, reference, **study):
        task, classes = ("regression", 0) if metric == "rmse" else ("classification", 2)
        cells = mixed_cells(200, classes, seed=4)
        evaluator = self.evaluator(cells, MIXED_KINDS, task=task, metric=metric, holdout=0.3, **study)
        return evaluator, evaluator.open_sealed(config, reference)

    def test_better_is_positive_whatever_the_direction(self):
        for metric in ("accuracy", "rmse", "log_loss"):
            _, result = self.open_sealed(metric, {}, {"build_model": "dummy"})
            self.assertGreater(result["low"], 0, metric)
            self.assertTrue(result["low"] < result["difference"] < result["high"], metric)
            _, worse = self.open_sealed(metric, {"build_model": "dummy"}, {})
            self.assertLess(worse["high"], 0, metric)

    def test_the_scores_are_those_of_a_fit_on_the_open_rows(self):
        study, result = self.open_sealed("accuracy", {"build_model": "tree"}, {})
        X, y = study.table.X, study.table.y
        model = study.pipeline({"build_model": "tree"}, len(study.open)).fit(X.iloc[study.open], y[study.open])
        expected = (model.predict(X.iloc[study.sealed]) == y[study.sealed]).mean()
        self.assertAlmostEqual(result["score"], expected)
        self.assertAlmostEqual(result["difference"], result["score"] - result["reference_score"])
        self.assertEqual((result["rows"], result["level"]), (60, 0.95))

    def test_the_same_configuration_differs_by_nothing(self):
        _, result = self.open_sealed("roc_auc", {}, {})
        self.assertEqual((result["difference"], result["low"], result["high"]), (0.0, 0.0, 0.0))

    def test_groups_are_resampled_whole(self):
        _, result = self.open_sealed("accuracy", {"build_model": "rf"}, {"build_model": "dummy"}, group="zone")
        self.assertTrue(result["low"] <= result["difference"] <= result["high"])
