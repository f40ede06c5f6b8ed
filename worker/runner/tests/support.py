"""What the tests share: small studies, and a worker's end of the fork server."""

import os

# As in a worker; must be set before numpy is imported.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
os.environ.update(THREADS)

import json
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import numpy as np

from ar_runner.evaluate import Evaluator
from ar_runner.frames import Receiver, encode
from ar_runner.options_index import OptionsIndex
from ar_runner.study import read_study

RUNNER = Path(__file__).resolve().parents[1]
# Nothing here takes nearly as long; it only bounds a hang.
PATIENCE = 60.0


def write_study(folder, cells, kinds, task="classification", metric="accuracy", **more):
    """Writes data.csv and study.json. `cells` maps names to lists of text; the target is called `target`."""
    folder = Path(folder)
    names = list(cells)
    lines = [",".join(names)] + [",".join(row) for row in zip(*cells.values())]
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study = {
        "version": 1,
        "data": {"path": "data.csv", "delimiter": ",", "header_rows": 1},
        "target": "target",
        "task": task,
        "metric": metric,
        "columns": [{"name": name, "kind": kinds.get(name, "numeric")} for name in names],
        "folds": 3,
        "holdout": None,
        "group": None,
        "time": None,
        "seed": 0,
    }
    study.update(more)
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    return folder


def mixed_cells(rows=120, classes=2, seed=0):
    """Numbers, categories, a date and a text, each with missing cells, that say something about the target."""
    generator = np.random.default_rng(seed)
    size = generator.normal(size=rows)
    weight = generator.gamma(2.0, size=rows)
    zone = generator.choice(["north", "south", "east"], size=rows)
    signal = size + (zone == "north") + generator.normal(scale=0.3, size=rows)
    if classes == 0:
        target = [f"{value:.4f}" for value in np.exp(signal)]
    else:
        bounds = np.quantile(signal, np.linspace(0, 1, classes + 1)[1:-1])
        target = [["low", "middle", "top"][code] for code in np.digitize(signal, bounds)]
    days = generator.integers(1, 28, size=rows)
    cells = {
        "size": [f"{value:.4f}" for value in size],
        "weight": [f"{value:.4f}" for value in weight],
        "grade": [str(value) for value in generator.integers(1, 5, size=rows)],
        "zone": list(zone),
        "day": [f"2024-03-{day:02d}" for day in days],
        "note": [f"{place} road {'wide' if value > 0 else 'narrow'}" for place, value in zip(zone, size)],
    }
    for column in cells.values():
        for index in generator.choice(rows, size=rows // 10, replace=False):
            column[index] = "NA"
    cells["target"] = target
    return cells


MIXED_KINDS = {"zone": "categorical", "day": "date", "note": "text", "target": "target"}


def copy_package(folder, options):
    """A copy of the package with more option files, by (slot, name): source. Returns the folder to import from."""
    shutil.copytree(RUNNER / "ar_runner", Path(folder) / "ar_runner", ignore=shutil.ignore_patterns("__pycache__"))
    for (slot, name), source in options.items():
        path = Path(folder) / "ar_runner" / "options" / slot / f"{name}.py"
        path.write_text(source, encoding="utf-8")
    return Path(folder)


class StudyCase(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ar-runner-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # Small tables make the libraries warn; children of the server are silenced the same way.
        silence = warnings.catch_warnings()
        silence.__enter__()
        self.addCleanup(silence.__exit__, None, None, None)
        warnings.simplefilter("ignore")

    def evaluator(self, cells, kinds, **study):
        """An evaluator in this process, which is no fork server and may fit."""
        return Evaluator(read_study(write_study(self.folder, cells, kinds, **study)), options())


def options():
    """The options, imported once."""
    if not IMPORTED:
        IMPORTED.append(OptionsIndex())
    return IMPORTED[0]


IMPORTED = []


def cross_validate(evaluator, repeat=0, **config):
    return evaluator.cross_validate(config, repeat, lambda frame: None)


class Worker:
    """The worker's end: starts the server with a socket as descriptor 3 and talks to it."""

    def __init__(self, study, package=RUNNER):
        self.control, theirs = socket.socketpair()
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(package), **THREADS}
        # A shell moves the socket to descriptor 3, which Python then inherits.
        command = f'exec "$0" -m ar_runner serve "$1" 3<&{theirs.fileno()} {theirs.fileno()}<&-'
        if theirs.fileno() == 3:
            command = 'exec "$0" -m ar_runner serve "$1"'
        self.process = subprocess.Popen(
            ["bash", "-c", command, sys.executable, str(study)],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
        )
        theirs.close()
        self.receiver = Receiver(self.control)
        self.frames = []
        # Experiment id -> (receiver of its results, read end of its output pipe).
        self.experiments = {}

    def next_frame(self):
        """The next frame of the server, None when it has gone."""
        self.control.settimeout(PATIENCE)
        while not self.frames:
            received = self.receiver.receive()
            if received is None:
                return None
            self.frames.extend(received)
        return self.frames.pop(0)

    def frame(self, op, id=None):
        """Waits for a frame of this kind, and for this experiment; the others are kept."""
        kept = []
        while True:
            frame = self.next_frame()
            assert frame is not None, f"the server went away before it sent {op}"
            if frame["op"] == op and (id is None or frame["id"] == id):
                self.frames = kept + self.frames
                return frame
            kept.append(frame)

    def start(self, id, config=None, block=None, memory_bytes=None, out=None, members=None):
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        request = {
            "op": "run",
            "id": id,
            "config": config or {},
            "block": block or {"kind": "cv", "repeat": 0},
            "memory_bytes": memory_bytes,
            "out": out,
            **({"members": members} if members else {}),
        }
        socket.send_fds(self.control, [encode(request)], [theirs.fileno(), write])
        theirs.close()
        os.close(write)
        ours.settimeout(PATIENCE)
        self.experiments[id] = (Receiver(ours), read)

    def results(self, id):
        """Every frame of the child until it closes its socket."""
        receiver, _ = self.experiments[id]
        frames = []
        while (received := receiver.receive()) is not None:
            frames.extend(received)
        return frames

    def output(self, id):
        """Everything the child printed, read until nobody holds the pipe any more."""
        _, read = self.experiments[id]
        chunks = []
        selector = selectors.DefaultSelector()
        selector.register(read, selectors.EVENT_READ)
        while selector.select(PATIENCE):
            chunk = os.read(read, 65536)
            if not chunk:
                break
            chunks.append(chunk)
        selector.close()
        return b"".join(chunks).decode()

    def run(self, id, **request):
        """Runs one experiment to its end: its frames, and how it exited."""
        self.start(id, **request)
        self.frame("started", id)
        frames = self.results(id)
        exited = self.frame("exited", id)
        self.forget(id)
        return frames, exited

    def forget(self, id):
        receiver, read = self.experiments.pop(id)
        receiver.close()
        os.close(read)

    def close(self):
        self.receiver.close()
        for id in list(self.experiments):
            self.forget(id)
        return self.process.wait(PATIENCE)


def wait_until_gone(pid):
    """Waits for the end of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    selector = selectors.DefaultSelector()
    selector.register(descriptor, selectors.EVENT_READ)
    gone = selector.select(PATIENCE)
    selector.close()
    os.close(descriptor)
    assert gone, f"process {pid} is still there"
