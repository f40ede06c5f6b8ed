"""The metrics, against scikit-learn, and the scores that are none."""

import unittest

import support  # noqa: F401  # Before the libraries: it sets how many threads they use.

import numpy as np
from sklearn import metrics as theirs

from ar_runner.metrics import METRICS, NoMetric, check, positive_class, score


def softmax(values):
    shares = np.exp(values)
    return shares / shares.sum(axis=1, keepdims=True)


class AgainstScikitLearn(unittest.TestCase):
    def setUp(self):
        generator = np.random.default_rng(0)
        self.two, self.three = generator.integers(0, 2, 200), generator.integers(0, 3, 200)
        self.shares_two, self.shares_three = (softmax(generator.normal(size=(200, count))) for count in (2, 3))
        self.numbers, self.predicted = generator.normal(size=(2, 200))

    def test_labels(self):
        for y, shares in ((self.two, self.shares_two), (self.three, self.shares_three)):
            labels = shares.argmax(axis=1)
            positive = positive_class(y) if shares.shape[1] == 2 else None
            self.assertAlmostEqual(score("accuracy", y, labels, None, positive), theirs.accuracy_score(y, labels))
            expected = theirs.balanced_accuracy_score(y, labels)
            self.assertAlmostEqual(score("balanced_accuracy", y, labels, None, positive), expected)
            kind = {"average": "macro"} if positive is None else {"pos_label": positive}
            self.assertAlmostEqual(score("f1", y, labels, None, positive), theirs.f1_score(y, labels, **kind))

    def test_probabilities(self):
        two, three = self.shares_two, self.shares_three
        self.assertAlmostEqual(score("log_loss", self.two, None, two, 1), theirs.log_loss(self.two, two))
        self.assertAlmostEqual(score("log_loss", self.three, None, three, None), theirs.log_loss(self.three, three))
        self.assertAlmostEqual(score("roc_auc", self.two, None, two, 1), theirs.roc_auc_score(self.two, two[:, 1]))
        expected = theirs.roc_auc_score(self.three, three, multi_class="ovr")
        self.assertAlmostEqual(score("roc_auc", self.three, None, three, None), expected)

    def test_numbers(self):
        y, predicted = self.numbers, self.predicted
        self.assertAlmostEqual(score("rmse", y, predicted, None, None), theirs.root_mean_squared_error(y, predicted))
        self.assertAlmostEqual(score("mae", y, predicted, None, None), theirs.mean_absolute_error(y, predicted))
        self.assertAlmostEqual(score("r2", y, predicted, None, None), theirs.r2_score(y, predicted))

    def test_the_positive_class_is_the_rarer_one(self):
        self.assertEqual(positive_class(np.array([0, 1, 1])), 0)
        self.assertEqual(positive_class(np.array([0, 0, 1])), 1)
        self.assertEqual(positive_class(np.array([0, 1])), 1)


class NoScore(unittest.TestCase):
    def refused(self, name, value, reason):
        with self.assertRaisesRegex(NoMetric, reason):
            check(name, value)

    def test_values_that_cannot_be_scores(self):
        for name in METRICS:
            self.refused(name, float("nan"), "nan")
            self.refused(name, float("inf"), "inf")
            self.refused(name, "0.5", "not a number")
            self.refused(name, None, "not a number")
            self.refused(name, True, "not a number")
        self.refused("accuracy", 1.01, "outside its range")
        self.refused("accuracy", -0.01, "outside its range")
        self.refused("rmse", -1e-3, "outside its range")
        self.refused("r2", 1.5, "outside its range")
        self.assertEqual(check("r2", -40), -40.0)
        self.assertEqual(check("accuracy", np.float64(1.0)), 1.0)

    def test_predictions_that_cannot_be_scored(self):
        y = np.array([0, 1, 1])
        cases = [
            ("accuracy", np.array([0.0, np.nan, 1.0]), None),
            ("accuracy", np.array(["a", "b", "b"]), None),
            ("accuracy", np.array([1]), None),
            ("accuracy", None, None),
            ("log_loss", y, None),
            ("roc_auc", y, np.array([[0.1, np.nan]] * 3)),
            ("rmse", np.array([1.0, np.inf, 1.0]), None),
        ]
        for name, labels, scores in cases:
            with self.subTest(name), self.assertRaises(NoMetric):
                score(name, y, labels, scores, 1)

    def test_rows_that_cannot_be_scored(self):
        with self.assertRaisesRegex(NoMetric, "two classes"):
            score("roc_auc", np.array([1, 1]), None, np.array([[0.1, 0.9]] * 2), 1)
        with self.assertRaisesRegex(NoMetric, "differ"):
            score("r2", np.array([2.0, 2.0]), np.array([1.0, 2.0]), None, None)


if __name__ == "__main__":
    unittest.main()
