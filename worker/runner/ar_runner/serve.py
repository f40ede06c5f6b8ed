"""The fork server: imports and loads, forks one child per experiment, and leaves nothing behind.

It never fits and never predicts: a parent that has run an OpenMP loop makes its children hang.
"""

import ctypes
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import time
from typing import Any

from ar_runner.frames import FrameError, Receiver, encode, send
from ar_runner.strays import kill_strays
from ar_runner.study import read_study

CONTROL_DESCRIPTOR = 3
PR_SET_CHILD_SUBREAPER = 36
# How long the exit of a child is held back while processes that it left behind are dying.
STRAY_SECONDS = 2.0


class Server:
    """The loop between the worker and the children."""

    def __init__(self, control: socket.socket, evaluator: Any) -> None:
        self.receiver = Receiver(control)
        self.control = control
        # Imported by now, as it needs the libraries whose failure must be reported.
        from ar_runner.child import run_child

        self.run_child = run_child
        self.evaluator = evaluator
        # Process id -> experiment id.
        self.children: dict[int, int] = {}
        # Exits not yet reported, with the moment from which they are not held back any more.
        self.ended: list[tuple[float, dict[str, Any]]] = []
        self.wake_read, self.wake_write = os.pipe()
        for descriptor in (self.wake_read, self.wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: None)

    def run(self) -> int:
        """Serves until the worker says so or goes away, then kills what still runs."""
        selector = selectors.PollSelector()
        selector.register(self.control, selectors.EVENT_READ)
        selector.register(self.wake_read, selectors.EVENT_READ)
        code = 0
        try:
            stop = False
            while not stop:
                timeout = STRAY_SECONDS / 20 if self.ended else None
                ready = {key.fileobj for key, _ in selector.select(timeout)}
                if self.wake_read in ready:
                    stop = self._woken()
                self._report_ended()
                if self.control in ready and not stop:
                    stop = self._requests()
        except ConnectionError:
            # The worker went away with frames unread.
            pass
        except (FrameError, OSError) as error:
            print(f"ar_runner: {error}", file=sys.stderr)
            code = 1
        finally:
            selector.close()
            self._kill_everything()
        return code

    def _woken(self) -> bool:
        """Handles the signals that came; true if one of them asks to stop."""
        numbers = os.read(self.wake_read, 4096)
        self._reap()
        return signal.SIGTERM in numbers or signal.SIGINT in numbers

    def _requests(self) -> bool:
        """Handles the frames that came; true if there will be no more."""
        frames = self.receiver.receive()
        if frames is None:
            return True
        for frame in frames:
            if frame["op"] == "shutdown":
                return True
            if frame["op"] == "run":
                self._start(frame)
            else:
                raise FrameError(f"there is no frame `{frame['op']}`")
        return False

    def _start(self, request: dict[str, Any]) -> None:
        result, output = self.receiver.take_descriptors(2)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._forget_in_child()
            self.run_child(self.evaluator, request, result, output, parent)
        os.close(result)
        os.close(output)
        self.children[pid] = request["id"]
        send(self.control, {"op": "started", "id": request["id"], "pid": pid})

    def _forget_in_child(self) -> None:
        """Closes what belongs to the server; descriptors of later requests may already be here."""
        signal.set_wakeup_fd(-1)
        os.close(self.wake_read)
        os.close(self.wake_write)
        self.receiver.close()

    def _reap(self) -> None:
        """Collects every process that ended: children, and strays that were handed to us."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            experiment = self.children.pop(pid, None)
            if experiment is not None:
                code = os.waitstatus_to_exitcode(status)
                scale = 1 if sys.platform == "darwin" else 1024
                frame = {
                    "op": "exited",
                    "id": experiment,
                    "code": code if code >= 0 else None,
                    "signal": -code if code < 0 else None,
                    "peak_rss_bytes": usage.ru_maxrss * scale,
                }
                self.ended.append((time.monotonic() + STRAY_SECONDS, frame))

    def _report_ended(self) -> None:
        """Tells the worker of exits, once nothing is left of what the children started."""
        if not self.ended:
            return
        strays = kill_strays(self.children)
        now = time.monotonic()
        due = [frame for until, frame in self.ended if not strays or until <= now]
        self.ended = [(until, frame) for until, frame in self.ended if strays and until > now]
        for frame in due:
            self.control.sendall(encode(frame))

    def _kill_everything(self) -> None:
        """Kills the children's groups and whatever is handed to us then, until nothing is left."""
        for pid in self.children:
            for kill in (os.killpg, os.kill):
                try:
                    kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.children.clear()
        while True:
            kill_strays({})
            try:
                os.wait4(-1, 0)
            except ChildProcessError:
                return


def fork_safety() -> str | None:
    """Why forking this process is not safe, if it is not."""
    if threading.active_count() > 1:
        return "a Python thread runs in the server; an option module started it when it was imported"
    tasks = "/proc/self/task"
    if os.path.isdir(tasks) and len(os.listdir(tasks)) > 1:
        return "a library started threads when it was imported; set OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1"
    return None


def serve_study(folder: str) -> int:
    control = socket.socket(fileno=CONTROL_DESCRIPTOR)
    control.set_inheritable(False)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        evaluator, ready = prepare(folder)
        unsafe = fork_safety()
        if unsafe:
            raise RuntimeError(unsafe)
    # Whatever went wrong, the worker has to be told why there is no server.
    except Exception as error:  # noqa: BLE001
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        send(control, {"op": "failed", "message": message})
        return 1
    server = Server(control, evaluator)
    # Without this every child would copy the pages that the collector touches.
    gc.collect()
    gc.freeze()
    send(control, ready)
    return server.run()


def prepare(folder: str) -> tuple[Any, dict[str, Any]]:
    """Imports the libraries of the study's options and loads its table; returns the ready frame, too."""
    started = time.perf_counter()
    study = read_study(folder)
    from ar_runner.evaluate import Evaluator
    from ar_runner.options_index import OptionsIndex

    options = OptionsIndex()
    imported = time.perf_counter()
    evaluator = Evaluator(study, options)
    loaded = time.perf_counter()
    ready = {
        "op": "ready",
        "rows": len(evaluator.table.y),
        "train_rows": len(evaluator.open),
        "sealed_rows": len(evaluator.sealed),
        "dropped_rows": evaluator.table.dropped_rows,
        "import_seconds": imported - started,
        "load_seconds": loaded - imported,
        "unavailable": options.unavailable,
    }
    return evaluator, ready
