"""Scores that can be believed: no leak, the same score for the same seed, splits that keep their promises."""

import unittest

# First: it sets how many threads the libraries use.
from support import MIXED_KINDS, StudyCase, cross_validate, mixed_cells

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from ar_runner.fitting import fit_and_predict
from ar_runner.splits import make_folds, sealed_rows
from ar_runner.study import StudyError


def numbers(values):
    return [f"{value:.6f}" for value in values]


class NoLeak(StudyCase):
    def noise_study(self, classes, **study):
        """300 rows whose columns know nothing of the target; `code` has nearly a value per row."""
        generator = np.random.default_rng(1)
        target = generator.integers(0, classes, 300) if classes else generator.normal(size=300)
        cells = {
            "noise": numbers(generator.normal(size=300)),
            "code": [f"c{code}" for code in generator.integers(0, 250, 300)],
            "target": [f"class{value}" for value in target] if classes else numbers(target),
        }
        return self.evaluator(cells, {"code": "categorical", "target": "target"}, folds=5, **study)

    def test_encoding_the_target_of_a_near_unique_column_stays_at_chance(self):
        evaluator = self.noise_study(2, metric="roc_auc")
        for model in ("base", "tree", "rf", "lgbm"):
            for repeat in range(2):
                result = cross_validate(evaluator, repeat, encode="target", build_model=model)
                self.assertTrue(0.38 < result["score"] < 0.62, (model, result["score"]))

    def test_a_run_on_a_fresh_split_covers_as_many_as_the_study_says(self):
        one, three = self.noise_study(2), self.noise_study(2, repeats=3)
        own, runs = (cross_validate(three, repeat, build_model="tree") for repeat in (0, 1)), three.folds(1)
        first, fresh = own
        self.assertEqual((len(first["folds"]), len(fresh["folds"])), (5, 15))
        self.assertEqual(first["folds"], cross_validate(one, 0, build_model="tree")["folds"])
        # They are the splits that three single runs have, each with every open row once.
        singles = [cross_validate(one, repeat, build_model="tree") for repeat in (1, 2, 3)]
        self.assertEqual(fresh["folds"], [score for run in singles for score in run["folds"]])
        for split in range(3):
            tested = np.concatenate([test for _, test in runs[5 * split : 5 * split + 5]])
            np.testing.assert_array_equal(np.sort(tested), three.open)
        again = [cross_validate(three, repeat, build_model="tree")["folds"] for repeat in (1, 2)]
        self.assertEqual(again[0], fresh["folds"])
        self.assertNotEqual(again[0], again[1])

    def test_selection_by_the_target_stays_at_chance(self):
        generator = np.random.default_rng(2)
        cells = {f"x{index}": numbers(generator.normal(size=120)) for index in range(200)}
        cells["target"] = [str(value) for value in generator.integers(0, 2, 120)]
        evaluator = self.evaluator(cells, {"target": "target"}, folds=5, metric="roc_auc")
        scores = [cross_validate(evaluator, repeat, features="select_f")["score"] for repeat in range(4)]
        # Selected outside the folds, the same columns give more than 0.8.
        self.assertTrue(0.3 < np.mean(scores) < 0.65, scores)

    def test_what_a_category_tells_survives_every_encoding(self):
        zones = np.random.default_rng(3).integers(0, 12, 200)
        target = ["yes" if zone in (2, 3, 7, 11) else "no" for zone in zones]
        cells = {"zone": [f"z{zone}" for zone in zones], "target": target}
        evaluator = self.evaluator(cells, {"zone": "categorical", "target": "target"}, folds=5)
        for encode in ("base", "rare", "ordinal", "frequency", "target", "native"):
            for model in ("lgbm", "hgb") if encode == "native" else ("lgbm",):
                score = cross_validate(evaluator, encode=encode, build_model=model)["score"]
                self.assertGreater(score, 0.9, (encode, model))

    def test_regression_on_noise_explains_nothing(self):
        evaluator = self.noise_study(0, task="regression", metric="r2")
        for config in ({"encode": "target"}, {"encode": "target", "build_model": "knn"}, {"weighting": "power_target"}):
            self.assertLess(cross_validate(evaluator, **config)["score"], 0.05, config)

    def test_sealed_rows_are_in_no_fold(self):
        evaluator = self.evaluator(mixed_cells(100), MIXED_KINDS, holdout=0.2)
        self.assertEqual((len(evaluator.sealed), len(evaluator.open)), (20, 80))
        for repeat in range(3):
            for train, test in evaluator.folds(repeat):
                self.assertFalse(np.isin(evaluator.sealed, np.concatenate([train, test])).any())


class Repeats(StudyCase):
    def test_the_same_seed_gives_the_same_folds_and_scores(self):
        config = {"build_model": "rf", "encode": "target"}
        cells = mixed_cells(100)
        first = cross_validate(self.evaluator(cells, MIXED_KINDS, seed=7), **config)
        again = cross_validate(self.evaluator(cells, MIXED_KINDS, seed=7), **config)
        other = cross_validate(self.evaluator(cells, MIXED_KINDS, seed=8), **config)
        self.assertEqual((first["folds"], first["matrix"]), (again["folds"], again["matrix"]))
        self.assertNotEqual(first["matrix"], other["matrix"])

    def test_a_repeat_is_another_split_of_the_same_rows(self):
        evaluator = self.evaluator(mixed_cells(100), MIXED_KINDS, holdout=0.2)
        first, second = evaluator.folds(0), evaluator.folds(1)
        self.assertNotEqual(first[0][1].tolist(), second[0][1].tolist())
        for folds in (first, second):
            tested = np.sort(np.concatenate([test for _, test in folds]))
            self.assertEqual(tested.tolist(), evaluator.open.tolist())

    def test_a_seed_of_64_bits_is_accepted_by_every_library(self):
        evaluator = self.evaluator(mixed_cells(60), MIXED_KINDS, seed=2**64 - 1)
        for model in ("rf", "xgb", "lgbm", "hgb", "mlp"):
            cross_validate(evaluator, 4_000_000_000, build_model=model)


class Twins(StudyCase):
    def setUp(self):
        super().setUp()
        self.study = self.evaluator(mixed_cells(80), MIXED_KINDS)

    def matrix(self, **config):
        return cross_validate(self.study, **config)["matrix"]

    def test_scaling_under_trees_is_a_twin_and_elsewhere_it_is_not(self):
        for model in ("tree", "et", "lgbm"):
            self.assertEqual(self.matrix(build_model=model), self.matrix(build_model=model, scale="power"))
        self.assertNotEqual(self.matrix(), self.matrix(scale="power"))

    def test_what_changes_nothing_is_a_twin(self):
        cells = {name: column for name, column in mixed_cells(80).items() if name in ("size", "weight", "target")}
        self.study = self.evaluator(cells, {"target": "target"})
        # The two columns do not repeat each other, so that nothing is dropped.
        self.assertEqual(self.matrix(), self.matrix(features="drop_correlated"))
        self.assertNotEqual(self.matrix(), self.matrix(features="bins"))

    def test_what_is_learned_from_the_matrix_counts_too(self):
        configs = [{}, {"build_model": "lda"}, {"weighting": "balanced"}, {"encode": "ordinal", "build_model": "lgbm"}]
        configs += [{"encode": "native", "build_model": "lgbm"}, {"build_model": "lgbm"}]
        self.assertEqual(len({self.matrix(**config) for config in configs}), len(configs))


class Splits(StudyCase):
    def test_a_group_is_never_on_both_sides(self):
        generator = np.random.default_rng(0)
        groups = generator.integers(0, 20, 200).astype(str)
        for task, y in (("classification", generator.integers(0, 2, 200)), ("regression", generator.normal(size=200))):
            sealed = sealed_rows(y, task, 0.2, 0, groups)
            self.assertTrue(20 <= len(sealed) <= 60, len(sealed))
            rest = np.setdiff1d(np.arange(200), sealed)
            self.assertFalse(np.isin(groups[sealed], groups[rest]).any())
            for repeat in (0, 1):
                folds = make_folds(y, task, 5, 0, repeat, groups)
                self.assertEqual(len(folds), 5)
                for train, test in folds:
                    self.assertFalse(np.isin(groups[train], groups[test]).any())

    def test_folds_by_time_never_look_ahead(self):
        times = np.random.default_rng(0).permutation(120).astype(float)
        y = np.arange(120) % 2
        sealed = sealed_rows(y, "classification", 0.25, 0, times=times)
        self.assertEqual(sorted(times[sealed]), list(range(90, 120)))
        for repeat in (0, 1, 2):
            for train, test in make_folds(y, "classification", 4, 0, repeat, times=times):
                self.assertLess(times[train].max(), times[test].min())

    def test_time_and_groups_together_keep_both_promises(self):
        generator = np.random.default_rng(0)
        times, groups = generator.permutation(120).astype(float), generator.integers(0, 15, 120).astype(str)
        for train, test in make_folds(np.zeros(120), "regression", 3, 0, 0, groups, times):
            self.assertLess(times[train].max(), times[test].min())
            self.assertFalse(np.isin(groups[train], groups[test]).any())

    def test_classes_keep_their_shares(self):
        y = np.repeat([0, 1], [160, 40])
        self.assertEqual(np.bincount(y[sealed_rows(y, "classification", 0.2, 3)]).tolist(), [32, 8])
        for _, test in make_folds(y, "classification", 5, 3):
            self.assertEqual(np.bincount(y[test]).tolist(), [32, 8])

    def test_too_few_rows_are_an_error_and_never_fewer_folds(self):
        with self.assertRaisesRegex(StudyError, "too few for 5 folds"):
            self.evaluator(mixed_cells(4), MIXED_KINDS, folds=5)

    def test_the_columns_of_the_study_split_its_rows(self):
        cells = mixed_cells(90)
        cells["zone"] = [zone if zone != "NA" else "west" for zone in cells["zone"]]
        study = self.evaluator(cells, {**MIXED_KINDS, "zone": "group"}, group="zone")
        for train, test in study.first_folds:
            self.assertFalse(np.isin(study.table.groups[train], study.table.groups[test]).any())
        cells["day"] = [day if day != "NA" else "2024-04-01" for day in cells["day"]]
        study = self.evaluator(cells, {**MIXED_KINDS, "day": "time"}, time="day")
        for train, test in study.first_folds:
            self.assertLessEqual(study.table.times[train].max(), study.table.times[test].min())
        self.assertNotIn("day_year", study.table.layout.names)

    def test_a_fold_without_a_class_still_scores(self):
        cells = {"x": numbers(np.arange(60.0)), "step": [str(row) for row in range(60)]}
        cells["target"] = ["a", "b"] * 25 + ["c", "b"] * 5
        kinds = {"step": "time", "target": "target"}
        for metric in ("accuracy", "log_loss", "roc_auc", "f1"):
            study = self.evaluator(cells, kinds, time="step", metric=metric)
            for model in ("base", "xgb", "lgbm", "hgb", "svm", "knn"):
                self.assertEqual(len(cross_validate(study, build_model=model)["folds"]), 3)

    def test_a_class_that_the_training_rows_lack_scores_lowest(self):
        X, y = np.arange(20.0).reshape(-1, 1), np.repeat([1, 2], 10)
        for model in (LogisticRegression(), LinearSVC()):
            for looks_at in ("ranking", "labels"):
                pipeline = make_pipeline(FunctionTransformer(), model)
                labels, scores = fit_and_predict(pipeline, X, y, X, 3, looks_at)
                self.assertEqual(labels.tolist(), y.tolist())
                if scores is not None:
                    self.assertEqual(scores.shape, (20, 3))
                    self.assertTrue((scores[:, [0]] < scores[:, 1:]).all())

    def test_a_class_that_a_fold_lacks_does_not_stop_the_target_encoding(self):
        cells = {"zone": ["n", "s", "e"] * 20, "step": [str(row) for row in range(60)]}
        cells["target"] = ["a", "b"] * 25 + ["c", "b"] * 5
        kinds = {"zone": "categorical", "step": "time", "target": "target"}
        self.assertEqual(len(cross_validate(self.evaluator(cells, kinds, time="step"), encode="target")["folds"]), 3)


if __name__ == "__main__":
    unittest.main()
