"""The fork server under faults: what the worker is told, and that nothing outlives anything."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path

# First: it sets how many threads the libraries use.
from support import PATIENCE, MIXED_KINDS, Worker, copy_package, mixed_cells, wait_until_gone, write_study

from ar_runner.frames import send

FAULTY = '''"""A model with a fault."""

import os, signal, subprocess, sys, time
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Faulty(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        {fit}
        return self

    def predict(self, X):
        return {predict}


def make(context):
    return Faulty()
'''
STRAY = """
        # Forked twice and in a session of its own: no signal to the group reaches it.
        subprocess.run(["setsid", "--fork", "sleep", "600"])
        print("fitted", flush=True)"""
FIT = {
    "leaves": "os._exit(7)",
    "raises": "raise ValueError('the first line\\nthe second line')",
    "exits": "sys.exit('gone')",
    "segfaults": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hogs": "self.hoard = np.ones(2**31)",
    "nibbles": "self.hoard = [bytearray(2**16) for _ in range(2**16)]",
    "strays": STRAY,
    "sleeps": "time.sleep(600)",
    # Its stray, in a session of its own, says its process id.
    "strays_and_sleeps": "subprocess.run(['setsid', '--fork', 'sh', '-c', 'echo $$; exec sleep 600']); time.sleep(600)",
    "shouts": "os.write(1, b'out\\n'); os.write(2, b'err\\n')",
}
PREDICT = {
    "nan": "np.full(len(X), np.nan)",
    "text": "np.full(len(X), 'a word')",
    "few": "np.zeros(1)",
}


def faulty_options():
    faults = {name: FAULTY.format(fit=fit, predict="np.zeros(len(X))") for name, fit in FIT.items()}
    faults |= {name: FAULTY.format(fit="pass", predict=predict) for name, predict in PREDICT.items()}
    faults["lacking"] = '"""Lacks a library."""\n\nimport a_library_that_is_not_there\n'
    faults["unfinished"] = '"""Has no make."""\n'
    return {("build_model", f"faulty_{name}"): source for name, source in faults.items()}


class Faults(unittest.TestCase):
    """One server, which must survive every child."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ar-runner-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        package = copy_package(cls.folder, faulty_options())
        cls.worker = Worker(write_study(cls.folder, mixed_cells(rows=60), MIXED_KINDS), package)
        cls.addClassCleanup(cls.worker.close)
        cls.ready = cls.worker.frame("ready")

    def tearDown(self):
        # Whatever the child did, the next one is served.
        frames, exited = self.worker.run(99, config={"build_model": "tree"})
        self.assertEqual((frames[-1]["op"], exited["code"]), ("result", 0))

    def run_fault(self, name, **request):
        frames, exited = self.worker.run(1, config={"build_model": f"faulty_{name}"}, **request)
        return frames[-1] if frames else None, exited

    def assert_error(self, name, kind, message, **request):
        last, exited = self.run_fault(name, **request)
        self.assertEqual((last["op"], last["kind"]), ("error", kind), last)
        self.assertIn(message, last["message"])
        self.assertNotIn("\n", last["message"])
        self.assertEqual((exited["code"], exited["signal"]), (1, None))
        return last

    def test_what_cannot_be_imported_is_named_with_its_reason(self):
        reasons = {entry["option"]: entry["reason"] for entry in self.ready["unavailable"]}
        self.assertEqual(sorted(reasons), ["faulty_lacking", "faulty_unfinished"])
        self.assertEqual({entry["dimension"] for entry in self.ready["unavailable"]}, {"build_model"})
        self.assertIn("a_library_that_is_not_there", reasons["faulty_lacking"])
        self.assertIn("make", reasons["faulty_unfinished"])

    def test_an_option_that_is_not_available_crashes_alone(self):
        self.assert_error("lacking", "crashed", "no option `faulty_lacking`")

    def test_a_raised_error_is_one_line_with_its_traceback(self):
        last = self.assert_error("raises", "crashed", "ValueError: the first line")
        self.assertIn("faulty_raises.py", last["traceback"])

    def test_an_exit_by_the_user_s_code_is_a_crash(self):
        self.assert_error("exits", "crashed", "SystemExit")

    def test_a_silent_end_leaves_only_its_exit_code(self):
        last, exited = self.run_fault("leaves")
        self.assertEqual((last["op"], exited["code"], exited["signal"]), ("matrix", 7, None))

    def test_a_segmentation_fault_is_a_signal(self):
        last, exited = self.run_fault("segfaults")
        self.assertEqual((last["op"], exited["code"], exited["signal"]), ("matrix", None, 11))

    def test_memory_beyond_the_limit_is_out_of_memory(self):
        for name in ("hogs", "nibbles"):
            with self.subTest(name):
                self.assert_error(name, "out_of_memory", "MemoryError", memory_bytes=256 * 2**20)

    def test_predictions_that_are_no_predictions_give_no_metric(self):
        self.assert_error("nan", "no_metric", "NaN")
        self.assert_error("text", "no_metric", "not numbers")
        self.assert_error("few", "no_metric", "1 predictions for 20 rows")

    def test_an_unknown_slot_or_block_is_a_crash(self):
        frames, _ = self.worker.run(1, config={"no_slot": "base"})
        self.assertIn("no_slot", frames[-1]["message"])
        frames, _ = self.worker.run(1, block={"kind": "dance"})
        self.assertIn("dance", frames[-1]["message"])

    def test_what_a_child_left_running_is_gone_when_its_exit_is_told(self):
        self.worker.start(1, config={"build_model": "faulty_strays"})
        self.worker.frame("started", 1)
        self.assertEqual(self.worker.results(1)[-1]["op"], "result")
        self.worker.frame("exited", 1)
        self.assertEqual(children_of(self.worker.process.pid), [])
        # The strays held the pipe; without them it ends.
        self.assertEqual(self.worker.output(1), "fitted\n" * 3)
        self.worker.forget(1)

    def test_output_goes_to_the_pipe(self):
        self.worker.start(1, config={"build_model": "faulty_shouts"})
        self.worker.frame("started", 1)
        self.worker.frame("exited", 1)
        self.assertEqual(self.worker.output(1), "out\nerr\n" * 3)
        self.worker.forget(1)

    def test_two_children_run_at_once_and_are_told_apart(self):
        self.worker.start(1, config={"build_model": "faulty_sleeps"})
        pid = self.worker.frame("started", 1)["pid"]
        frames, _ = self.worker.run(2)
        self.assertEqual(frames[-1]["op"], "result")
        os.kill(pid, 15)
        exited = self.worker.frame("exited", 1)
        self.assertEqual((exited["id"], exited["signal"]), (1, 15))
        self.worker.forget(1)

    def test_memory_is_reported(self):
        _, exited = self.worker.run(1)
        # More than the interpreter with its libraries, less than this machine.
        self.assertTrue(2**25 < exited["peak_rss_bytes"] < 2**34, exited)


class Endings(unittest.TestCase):
    """However the server ends, nothing is left."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ar-runner-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        package = copy_package(self.folder, faulty_options())
        write_study(self.folder, mixed_cells(rows=60), MIXED_KINDS)
        self.worker = Worker(self.folder, package)
        self.addCleanup(self.worker.close)

    def start_two(self):
        """Two children that would sleep for minutes, and a process that one of them left behind."""
        self.assertEqual(self.worker.frame("ready")["op"], "ready")
        self.worker.start(1, config={"build_model": "faulty_sleeps"})
        self.worker.start(2, config={"build_model": "faulty_strays_and_sleeps"})
        pids = [self.worker.frame("started", id)["pid"] for id in (1, 2)]
        return pids, int(os.read(self.worker.experiments[2][1], 100))

    def assert_gone(self, *pids):
        """The server has waited for them, so that nothing of them is left once it has ended."""
        self.assertEqual([pid for pid in pids if parent_of(pid) is not None], [])

    def test_a_closed_socket_ends_server_and_children(self):
        pids, stray = self.start_two()
        self.assertEqual(self.worker.close(), 0)
        self.assert_gone(*pids, stray)

    def test_shutdown_ends_server_and_children(self):
        pids, stray = self.start_two()
        send(self.worker.control, {"op": "shutdown"})
        self.assertEqual(self.worker.process.wait(PATIENCE), 0)
        self.assert_gone(*pids, stray)

    def test_a_killed_server_takes_its_children_along(self):
        pids, stray = self.start_two()
        # A stray is out of reach of a server that is killed; ending it is left to the worker.
        self.addCleanup(os.kill, stray, 9)
        self.worker.process.kill()
        self.worker.process.wait(PATIENCE)
        for pid in pids:
            wait_until_gone(pid)


class Failures(unittest.TestCase):
    def failure(self, **changes):
        folder = Path(tempfile.mkdtemp(prefix="ar-runner-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        cells = mixed_cells(rows=40)
        cells.update(changes.pop("cells", {}))
        worker = Worker(write_study(folder, cells, MIXED_KINDS, **changes))
        self.addCleanup(worker.close)
        message = worker.frame("failed")["message"]
        self.assertEqual(worker.process.wait(PATIENCE), 1)
        return message

    def test_a_study_that_cannot_be_served_is_refused_with_what_to_change(self):
        self.assertIn("fewer than two classes", self.failure(cells={"target": ["same"] * 40}))

    def test_a_metric_of_the_other_task_is_refused(self):
        self.assertIn("`rmse` does not fit", self.failure(metric="rmse"))


def children_of(pid):
    """Processes whose parent is this one, dead ones that nobody collected included."""
    return [entry for entry in os.listdir("/proc") if entry.isdigit() and parent_of(entry) == pid]


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


if __name__ == "__main__":
    unittest.main()
