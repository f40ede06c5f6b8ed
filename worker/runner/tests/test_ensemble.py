"""Ensembles: how their members are weighed, and that what is handed over votes as it was scored."""

import subprocess
import sys
import unittest

# First: it sets how many threads the libraries use.
from support import MIXED_KINDS, StudyCase, Worker, cross_validate, mixed_cells, options, write_study

import joblib
import numpy as np

from ar_runner.ensemble import ROUNDS, Voters, choose_weights
from ar_runner.export import own_names, rename, render
from ar_runner.metrics import METRICS, NoMetric
from ar_runner.predict import predict_file
from ar_runner.voting import NoVote, decide, votes, weighted_mean

LINEAR = {}
FOREST = {"build_model": "rf_leaf", "encode": "ordinal"}
BOOSTED = {"build_model": "hgb_shallow", "impute": "keep", "encode": "native"}
VECTORS = {"build_model": "svm_linear", "scale": "quantile", "features": "squares"}
STUDIES = (
    ("classification", 2, "accuracy", (LINEAR, FOREST, VECTORS)),
    ("classification", 2, "roc_auc", (FOREST, LINEAR)),
    ("classification", 3, "log_loss", (BOOSTED, LINEAR, FOREST)),
    ("classification", 3, "f1", (VECTORS, BOOSTED)),
    ("regression", 0, "rmse", (LINEAR, FOREST, {**BOOSTED, "weighting": "log_target"})),
    ("regression", 0, "r2", (FOREST, {"build_model": "spline", "impute": "iterative"})),
)


def members(configs, weights=None):
    weights = weights or [0] * len(configs)
    return [{"config": config, "weight": weight} for config, weight in zip(configs, weights)]


def rmse_gain(y):
    return lambda mean: -float(np.sqrt(np.mean((y - mean) ** 2)))


class Weights(unittest.TestCase):
    def test_a_member_that_is_best_alone_and_gains_by_nobody_has_all(self):
        y = np.arange(10.0)
        self.assertEqual(choose_weights([y + 3, y, y - 5], rmse_gain(y)), [0, 1, 0])

    def test_errors_that_cancel_out_are_averaged_by_how_large_they_are(self):
        y = np.zeros(4)
        said = [np.array([1.0, 1, 1, 1]), np.array([-2.0, -2, -2, -2]), np.full(4, 9.0)]
        self.assertEqual(choose_weights(said, rmse_gain(y)), [2, 1, 0])

    def test_of_equal_members_the_first_is_taken_once(self):
        y = np.arange(4.0)
        self.assertEqual(choose_weights([y + 1, y + 1, y + 1], rmse_gain(y)), [1, 0, 0])

    def test_the_first_round_takes_somebody_whatever_the_scores(self):
        said = [np.zeros(3)] * 3
        for score in (-1e300, 0.0, 5.0):
            self.assertEqual(choose_weights(said, lambda mean: score), [1, 0, 0])

    def test_whatever_members_say_selection_never_loses_ends_and_repeats_itself(self):
        for seed in range(60):
            generator = np.random.default_rng(seed)
            classes, rows, n = generator.integers(0, 4), 40, int(generator.integers(2, 6))
            if classes == 1:
                continue
            y = generator.normal(size=rows) if classes == 0 else generator.integers(0, classes, rows)
            shape = rows if classes == 0 else (rows, classes)
            said = [generator.random(shape) for _ in range(n)]
            name = "rmse" if classes == 0 else "accuracy"
            sign = -1 if classes == 0 else 1
            gain = lambda mean: sign * METRICS[name].function(y, *decide(mean), None)  # noqa: E731
            weights = choose_weights(said, gain)
            self.assertEqual(choose_weights(list(said), gain), weights)
            self.assertTrue(1 <= sum(weights) <= ROUNDS and all(weight >= 0 for weight in weights))
            self.assertGreaterEqual(gain(weighted_mean(said, weights)), max(gain(vote) for vote in said))
            # Who is added gains something at the end, so nobody can be added any more, or rounds ran out.
            for member in range(n):
                more = [weight + (index == member) for index, weight in enumerate(weights)]
                better = gain(weighted_mean(said, more)) > gain(weighted_mean(said, weights)) + 1e-9
                self.assertTrue(not better or sum(weights) == ROUNDS)


class Votes(unittest.TestCase):
    def labels(self, codes):
        return type("Labels", (), {"predict": lambda self, X: np.array(codes)})()

    def test_who_gives_labels_alone_gives_all_of_its_vote_to_them(self):
        said = votes(self.labels([1, 0]), np.array([0, 2]), np.zeros((2, 1)), 3)
        self.assertEqual(said.tolist(), [[0, 0, 1], [1, 0, 0]])

    def test_one_that_saw_one_class_votes_for_it(self):
        self.assertEqual(votes(None, np.array([1]), np.zeros((2, 1)), 2).tolist(), [[0, 1], [0, 1]])

    def test_labels_that_are_no_classes_are_refused(self):
        with self.assertRaises(NoVote):
            votes(self.labels([7, 0]), np.array([0, 1]), np.zeros((2, 1)), 2)


class Blocks(StudyCase):
    def study(self, task, classes, metric, **also):
        cells = mixed_cells(90, classes, seed=3)
        return self.evaluator(cells, MIXED_KINDS, task=task, metric=metric, holdout=0.2, seed=5, **also)

    def test_the_file_repeats_the_score_and_predicts_as_the_model_does(self):
        for task, classes, metric, configs in STUDIES:
            with self.subTest(metric=metric):
                study = self.study(task, classes, metric)
                weights = [2, 1, 3][: len(configs)]
                chosen = members(configs, weights)
                result = Voters(study, chosen).cross_validate(0)
                self.assertEqual((result["weights"], len(result["folds"])), (weights, 3))
                out = self.folder / "best"
                out.mkdir(exist_ok=True)
                refitted = study.refit({}, str(out), chosen)
                self.assertEqual((refitted["files"], refitted["weights"]), (["model.joblib", "pipeline.py"], weights))
                data, theirs, ours = self.folder / "data.csv", self.folder / "theirs.csv", self.folder / "ours.csv"
                command = [sys.executable, "-I", str(out / "pipeline.py"), str(data), str(data), str(theirs)]
                done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=240)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                name, value = done.stdout.split(",")[0].split()
                self.assertEqual(name, metric)
                self.assertAlmostEqual(float(value), result["score"], delta=1e-9)
                self.assertEqual(predict_file(str(out / "model.joblib"), str(data), str(ours)), 0)
                predicted = [line.split(",")[0] for line in ours.read_text().splitlines()]
                same = theirs.read_text().splitlines()
                self.assertEqual(len(predicted), 91)
                if classes:
                    self.assertEqual(predicted, same)
                    self.assertIn("probability_", ours.read_text())
                else:
                    pairs = zip(map(float, predicted[1:]), map(float, same[1:]))
                    self.assertTrue(all(abs(a - b) < 1e-9 for a, b in pairs))

    def test_alone_it_scores_as_the_member_does(self):
        for task, classes, metric, config in (
            ("regression", 0, "rmse", FOREST),
            ("classification", 3, "log_loss", BOOSTED),
            ("classification", 2, "accuracy", FOREST),
        ):
            study = self.study(task, classes, metric)
            result = Voters(study, members([config, LINEAR], [1, 0])).cross_validate(1)
            self.assertEqual(result["folds"], cross_validate(study, repeat=1, **config)["folds"], metric)

    def test_weights_are_chosen_by_the_metric_and_asking_again_gives_the_same(self):
        study = self.study("regression", 0, "rmse")
        asked = Voters(study, members([{"build_model": "dummy"}, FOREST, BOOSTED]))
        result = asked.cross_validate(0)
        self.assertEqual(result["weights"][0], 0, "who learns nothing has no weight")
        alone = min(cross_validate(study, **config)["score"] for config in (FOREST, BOOSTED))
        self.assertLessEqual(result["score"], alone * 1.02)
        fixed = Voters(study, members([{"build_model": "dummy"}, FOREST, BOOSTED], result["weights"]))
        again = fixed.cross_validate(0)
        self.assertEqual((again["folds"], again["weights"]), (result["folds"], result["weights"]))
        self.assertLess(0, result["predict_seconds"])
        self.assertLess(result["predict_seconds"], result["seconds"])

    def test_a_fold_without_a_class_is_voted_on_and_splits_by_group_and_time_work(self):
        cells = mixed_cells(60, 3, seed=1)
        cells["target"] = ["rare"] * 2 + cells["target"][2:]
        study = self.evaluator(cells, MIXED_KINDS, metric="accuracy", folds=3)
        self.assertEqual(len(Voters(study, members([FOREST, LINEAR, VECTORS])).cross_validate(0)["folds"]), 3)
        cells = mixed_cells(90)
        for name, known in (("zone", "west"), ("day", "2024-04-01")):
            cells[name] = [known if cell == "NA" else cell for cell in cells[name]]
        kinds = {**MIXED_KINDS, "zone": "group", "day": "time"}
        for keys in ({"group": "zone"}, {"time": "day"}):
            study = self.evaluator(cells, kinds, holdout=0.2, folds=2, **keys)
            result = Voters(study, members([LINEAR, FOREST])).cross_validate(0)
            self.assertTrue(sum(result["weights"]) > 0 and np.isfinite(result["score"]))

    def test_what_is_no_number_is_no_score(self):
        study = self.study("regression", 0, "rmse")
        voters = Voters(study, members([LINEAR, FOREST]))
        broken = type("Broken", (), {"predict": lambda self, X: np.full(len(X), np.nan)})
        voters.pipelines = lambda rows: [Steps(broken())]
        with self.assertRaisesRegex(NoMetric, "NaN"):
            voters.cross_validate(0)

    def test_the_sealed_rows_compare_it_with_the_reference(self):
        study = self.study("classification", 2, "accuracy")
        result = study.open_sealed({}, {"build_model": "dummy"}, members([LINEAR, FOREST], [1, 2]))
        self.assertEqual((result["weights"], result["rows"]), ([1, 2], len(study.sealed)))
        X, y = study.table.X, study.table.y
        shares = [
            study.pipeline(config, len(study.open), True).fit(X.iloc[study.open], y[study.open])
            .predict_proba(X.iloc[study.sealed])
            for config in (LINEAR, FOREST)
        ]
        expected = np.mean(np.argmax(shares[0] + 2 * shares[1], axis=1) == y[study.sealed])
        self.assertAlmostEqual(result["score"], expected)

    def test_the_model_holds_no_training_table(self):
        study = self.study("classification", 2, "accuracy")
        out = self.folder / "best"
        out.mkdir()
        study.refit({}, str(out), members([LINEAR, {"scale": "robust"}], [1, 1]))
        held = joblib.load(out / "model.joblib")
        self.assertEqual(held["pipeline"].weights, [1, 1])
        self.assertLess((out / "model.joblib").stat().st_size, 80_000)

    def test_a_child_runs_one_and_says_no_matrix(self):
        cells = mixed_cells(60, 2, seed=2)
        worker = Worker(write_study(self.folder, cells, MIXED_KINDS, metric="accuracy"))
        self.addCleanup(worker.close)
        worker.frame("ready")
        frames, exited = worker.run(
            1, config={}, block={"kind": "cv", "repeat": 0}, members=members([LINEAR, FOREST]), memory_bytes=None
        )
        self.assertEqual([frame["op"] for frame in frames], ["result"], frames)
        self.assertEqual((len(frames[0]["weights"]), exited["code"]), (2, 0))


class Steps(list):
    """A pipeline of one step that needs no fit."""

    def __init__(self, model):
        super().__init__([model])
        model.fit = lambda X, y: model

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type("Same", (), {"fit_transform": lambda s, X, y: X, "transform": lambda s, X: X})()
        return super().__getitem__(index)


class Export(StudyCase):
    def test_every_pair_of_options_of_a_slot_can_stand_in_one_file(self):
        study = self.evaluator(mixed_cells(40), MIXED_KINDS)
        by_slot = {}
        for slot, option in options().modules:
            by_slot.setdefault(slot, []).append(option)
        for slot, names in by_slot.items():
            if slot != "text":
                # All of them at once: any two that do not get along are found.
                text = render(study, {}, members([{slot: option} for option in names], [1] * len(names)))
                compile(text, slot, "exec")
                for option in names:
                    self.assertIn(f"def make_{slot}_{option}(" if slot != "scale" else f"make_{slot}", text)

    def test_helpers_of_the_same_name_are_kept_apart(self):
        source = "def helper(x):\n    é, y = 1, helper\n    return LIMIT + x\n\n\nLIMIT = 3\n\n\ndef make(context):\n    return helper(LIMIT)\n"
        self.assertEqual(own_names(source), {"helper", "LIMIT"})
        renamed = rename(source, {name: f"{name}_a" for name in own_names(source)})
        scope = {}
        exec(renamed + "\nanswer = make(None)\n", scope)  # noqa: S102
        self.assertEqual(scope["answer"], 6)
        self.assertNotIn("helper", {name for name in scope if not name.endswith("_a")})


if __name__ == "__main__":
    unittest.main()
