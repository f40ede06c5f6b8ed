"""Every option of the catalog: it is there, and it runs."""

import importlib
import os
import shutil
import tempfile
import tomllib
import unittest
from pathlib import Path

# First: it sets how many threads the libraries use.
from support import MIXED_KINDS, RUNNER, StudyCase, Worker, mixed_cells, options, write_study

from ar_runner.options_index import SLOTS, option_files

CATALOG = tomllib.loads((RUNNER / "catalog.toml").read_text(encoding="utf-8"))
OPTIONS = {(slot["name"], option["name"]): option for slot in CATALOG["slot"] for option in slot["option"]}


def family_members(slot, families):
    return [name for (in_slot, name), option in OPTIONS.items() if in_slot == slot and option["family"] in families]


def smallest_config(slot, name):
    """The option over base, with the partners without which it does not exist."""
    partners = OPTIONS[slot, name].get("only_with", {})
    config = {other: family_members(other, families)[0] for other, families in partners.items()}
    return {**config, slot: name}


class Catalog(StudyCase):
    def test_every_option_is_a_file_and_every_file_an_option(self):
        self.assertEqual(sorted(OPTIONS), option_files())

    def test_the_slots_are_those_of_the_runner_and_start_with_base(self):
        self.assertEqual(sorted(slot["name"] for slot in CATALOG["slot"]), sorted(SLOTS))
        for slot in CATALOG["slot"]:
            self.assertEqual(slot["option"][0]["name"], "base", slot["name"])

    def test_everything_can_be_imported_here(self):
        self.assertEqual(options().unavailable, [])

    def test_every_option_says_what_it_does(self):
        for (slot, name), module in options().modules.items():
            self.assertTrue((module.__doc__ or "").strip().endswith("."), f"{slot}/{name}")

    def test_every_part_of_every_pipeline_uses_one_thread(self):
        study = self.evaluator(mixed_cells(40), MIXED_KINDS)
        for slot, name in OPTIONS:
            for key, value in study.pipeline({slot: name}, 40).get_params(deep=True).items():
                if key.endswith("n_jobs"):
                    # The boosters take None for all cores, the rest of the world for one.
                    allowed = (1,) if name.startswith(("xgb", "lgbm")) and "model__" in key else (1, None)
                    self.assertIn(value, allowed, f"{slot}/{name}: {key}")

    def test_models_ignore_the_slots_that_the_catalog_calls_inactive(self):
        for (slot, name), option in OPTIONS.items():
            if slot == "build_model":
                module = importlib.import_module(f"ar_runner.options.build_model.{name}")
                inactive = {
                    other["name"]
                    for other in CATALOG["slot"]
                    if option["family"] in other.get("inactive_under", {}).get("build_model", [])
                }
                self.assertEqual(set(getattr(module, "IGNORES", ())), inactive, name)


class EveryOptionRuns(unittest.TestCase):
    """Each option over base, through a fork server, on a table with every kind of column and missing cells."""

    def run_all(self, task, classes, metric):
        folder = Path(tempfile.mkdtemp(prefix="ar-runner-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        cells = mixed_cells(rows=90, classes=classes)
        worker = Worker(write_study(folder, cells, MIXED_KINDS, task=task, metric=metric, folds=2))
        self.addCleanup(worker.close)
        ready = worker.frame("ready")
        self.assertEqual((ready["rows"], ready["unavailable"]), (90, []))
        scores = {}
        for id, (slot, name) in enumerate(OPTIONS):
            with self.subTest(slot=slot, option=name):
                if task not in OPTIONS[slot, name].get("tasks", [task]):
                    continue
                frames, exited = worker.run(id, config=smallest_config(slot, name))
                self.assertEqual(frames[-1]["op"], "result", frames[-1])
                self.assertEqual([frame["op"] for frame in frames], ["matrix", "fold", "fold", "result"])
                self.assertEqual((exited["code"], exited["signal"]), (0, None))
                self.assertEqual(frames[-1]["folds"], [frame["score"] for frame in frames[1:-1]])
                scores[slot, name] = frames[-1]["score"]
        # A server that had fitted anything would have more; its children would hang.
        self.assertEqual(len(os.listdir(f"/proc/{worker.process.pid}/task")), 1)
        return scores

    def test_two_classes(self):
        scores = self.run_all("classification", 2, "accuracy")
        floor = scores["build_model", "dummy"]
        poor = [key for key, score in scores.items() if score <= floor and key[1] != "dummy"]
        # The table is easy: what does not beat the floor is broken.
        self.assertEqual(poor, [])

    def test_three_classes_with_probabilities(self):
        scores = self.run_all("classification", 3, "log_loss")
        self.assertLess(scores["build_model", "base"], scores["build_model", "dummy"])

    def test_regression(self):
        scores = self.run_all("regression", 0, "mae")
        floor = scores["build_model", "dummy"]
        poor = [key for key, score in scores.items() if score >= floor and key[1] != "dummy"]
        self.assertEqual(poor, [])


if __name__ == "__main__":
    unittest.main()
